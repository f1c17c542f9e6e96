//! The published data sets that this crate reads: where they are, their hashes, terms and citations.
//!
//! Addresses and hashes are those of the publishers where these state them, else those that Tonic 1.7,
//! SpikingJelly 2.0 and torchvision use (MD5). A host that sends anything else is noticed by the hash. Lengths are
//! given where they are published. Addresses change: they were last compared with these packages in November 2026,
//! and **not** each downloaded.

use super::{Access, Digest, RemoteFile, Source, Unpack};

/// All data sets.
pub const ALL: [Source; 12] = [
    MNIST,
    FASHION_MNIST,
    CIFAR10,
    CIFAR100,
    NMNIST,
    NCALTECH101,
    CIFAR10_DVS,
    SHD,
    SSC,
    DVS_GESTURE,
    DVS_GESTURE_TONIC,
    NCARS,
];

/// The data set of a short name.
pub fn find(name: &str) -> Option<Source> {
    ALL.into_iter().find(|source| source.name == name)
}

const fn file(
    name: &'static str,
    urls: &'static [&'static str],
    md5: &'static str,
    unpack: Unpack,
) -> RemoteFile<'static> {
    RemoteFile { name, urls, n_bytes: None, digest: Digest::Md5(md5), unpack }
}

const fn of_length(file: RemoteFile<'static>, n_bytes: u64) -> RemoteFile<'static> {
    RemoteFile { n_bytes: Some(n_bytes), ..file }
}

/// MNIST, from the mirrors of PyTorch and of Google.
const MNIST: Source = Source {
    name: "mnist",
    title: "MNIST handwritten digits",
    license: "CC BY-SA 3.0",
    citation: "LeCun, Bottou, Bengio and Haffner, \"Gradient-based learning applied to document recognition\", 1998, doi:10.1109/5.726791",
    homepage: "http://yann.lecun.com/exdb/mnist/",
    access: Access::Files(&[
        of_length(
            file(
                "train-images-idx3-ubyte.gz",
                &[
                    "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
                    "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz",
                ],
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                Unpack::No,
            ),
            9_912_422,
        ),
        of_length(
            file(
                "train-labels-idx1-ubyte.gz",
                &[
                    "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
                    "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
                ],
                "d53e105ee54ea40749a09fcbcd1e9432",
                Unpack::No,
            ),
            28_881,
        ),
        of_length(
            file(
                "t10k-images-idx3-ubyte.gz",
                &[
                    "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
                    "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-images-idx3-ubyte.gz",
                ],
                "9fb629c4189551a2d022fa330f9573f3",
                Unpack::No,
            ),
            1_648_877,
        ),
        of_length(
            file(
                "t10k-labels-idx1-ubyte.gz",
                &[
                    "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
                    "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
                ],
                "ec29112dd5afa0611ce80d1b7f02629c",
                Unpack::No,
            ),
            4_542,
        ),
    ]),
};

const FASHION_MNIST: Source = Source {
    name: "fashion-mnist",
    title: "Fashion-MNIST images of clothes",
    license: "MIT",
    citation: "Xiao, Rasul and Vollgraf, \"Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms\", 2017, arXiv:1708.07747",
    homepage: "https://github.com/zalandoresearch/fashion-mnist",
    access: Access::Files(&[
        file(
            "train-images-idx3-ubyte.gz",
            &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz"],
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            Unpack::No,
        ),
        file(
            "train-labels-idx1-ubyte.gz",
            &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz"],
            "25c81989df183df01b3e8a0aad5dffbe",
            Unpack::No,
        ),
        file(
            "t10k-images-idx3-ubyte.gz",
            &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-images-idx3-ubyte.gz"],
            "bef4ecab320f06d8554ea6380940ec79",
            Unpack::No,
        ),
        file(
            "t10k-labels-idx1-ubyte.gz",
            &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz"],
            "bb300cfdad3c16e7a12a480ee83cd310",
            Unpack::No,
        ),
    ]),
};

const CIFAR: &str = "Krizhevsky, \"Learning multiple layers of features from tiny images\", 2009";
const CIFAR_LICENSE: &str = "none stated; the authors ask to be cited";
const CIFAR_PAGE: &str = "https://www.cs.toronto.edu/~kriz/cifar.html";

const CIFAR10: Source = Source {
    name: "cifar10",
    title: "CIFAR-10 color images, binary version",
    license: CIFAR_LICENSE,
    citation: CIFAR,
    homepage: CIFAR_PAGE,
    access: Access::Files(&[file(
        "cifar-10-binary.tar.gz",
        &["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
        "c32a1d4ab5d03f1284b67883e8d87530",
        Unpack::TarGz,
    )]),
};

const CIFAR100: Source = Source {
    name: "cifar100",
    title: "CIFAR-100 color images, binary version",
    license: CIFAR_LICENSE,
    citation: CIFAR,
    homepage: CIFAR_PAGE,
    access: Access::Files(&[file(
        "cifar-100-binary.tar.gz",
        &["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"],
        "03b5dce01913d631647c71ecec9e9cb8",
        Unpack::TarGz,
    )]),
};

const SACCADES: &str = "Orchard, Jayawant, Cohen and Thakor, \"Converting static image datasets to spiking neuromorphic datasets using saccades\", 2015, doi:10.3389/fnins.2015.00437";

const NMNIST: Source = Source {
    name: "nmnist",
    title: "N-MNIST, the MNIST digits seen by an event camera",
    license: "CC BY-SA 4.0",
    citation: SACCADES,
    homepage: "https://www.garrickorchard.com/datasets/n-mnist",
    access: Access::Files(&[
        file(
            "Train.zip",
            &[
                "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
            ],
            "20959b8e626244a1b502305a9e6e2031",
            Unpack::Zip,
        ),
        file(
            "Test.zip",
            &[
                "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
            ],
            "69ca8762b2fe404d9b9bad1103e97832",
            Unpack::Zip,
        ),
    ]),
};

const NCALTECH101: Source = Source {
    name: "ncaltech101",
    title: "N-Caltech101, pictures of 101 kinds of objects seen by an event camera",
    license: "see the page of the data set",
    citation: SACCADES,
    homepage: "https://www.garrickorchard.com/datasets/n-caltech101",
    access: Access::Files(&[file(
        "Caltech101.zip",
        &[
            "https://data.mendeley.com/public-files/datasets/cy6cvx3ryv/files/36b5c52a-b49d-4853-addb-a836a8883e49/file_downloaded",
        ],
        "66201824eabb0239c7ab992480b50ba3",
        Unpack::Zip,
    )]),
};

const CIFAR10_DVS: Source = Source {
    name: "cifar10-dvs",
    title: "CIFAR10-DVS, 10,000 images of CIFAR-10 seen by an event camera",
    license: "CC BY 4.0",
    citation: "Li, Liu, Ji, Li and Shi, \"CIFAR10-DVS: an event-stream dataset for object classification\", 2017, doi:10.3389/fnins.2017.00309",
    homepage: "https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671",
    access: Access::Files(&[
        file(
            "airplane.zip",
            &["https://ndownloader.figshare.com/files/7712788"],
            "0afd5c4bf9ae06af762a77b180354fdd",
            Unpack::Zip,
        ),
        file(
            "automobile.zip",
            &["https://ndownloader.figshare.com/files/7712791"],
            "8438dfeba3bc970c94962d995b1b9bdd",
            Unpack::Zip,
        ),
        file(
            "bird.zip",
            &["https://ndownloader.figshare.com/files/7712794"],
            "a9c207c91c55b9dc2002dc21c684d785",
            Unpack::Zip,
        ),
        file(
            "cat.zip",
            &["https://ndownloader.figshare.com/files/7712812"],
            "52c63c677c2b15fa5146a8daf4d56687",
            Unpack::Zip,
        ),
        file(
            "deer.zip",
            &["https://ndownloader.figshare.com/files/7712815"],
            "b6bf21f6c04d21ba4e23fc3e36c8a4a3",
            Unpack::Zip,
        ),
        file(
            "dog.zip",
            &["https://ndownloader.figshare.com/files/7712818"],
            "f379ebdf6703d16e0a690782e62639c3",
            Unpack::Zip,
        ),
        file(
            "frog.zip",
            &["https://ndownloader.figshare.com/files/7712842"],
            "cad6ed91214b1c7388a5f6ee56d08803",
            Unpack::Zip,
        ),
        file(
            "horse.zip",
            &["https://ndownloader.figshare.com/files/7712851"],
            "e7cbbf77bec584ffbf913f00e682782a",
            Unpack::Zip,
        ),
        file(
            "ship.zip",
            &["https://ndownloader.figshare.com/files/7712836"],
            "41c7bd7d6b251be82557c6cce9a7d5c9",
            Unpack::Zip,
        ),
        file(
            "truck.zip",
            &["https://ndownloader.figshare.com/files/7712839"],
            "89f3922fd147d9aeff89e76a2b0b70a7",
            Unpack::Zip,
        ),
    ]),
};

const HEIDELBERG: &str = "Cramer, Stradmann, Schemmel and Zenke, \"The Heidelberg spiking data sets for the systematic evaluation of spiking neural networks\", 2022, doi:10.1109/TNNLS.2020.3044364";
const HEIDELBERG_PAGE: &str = "https://zenkelab.org/resources/spiking-heidelberg-datasets-shd/";

const SHD: Source = Source {
    name: "shd",
    title: "Spiking Heidelberg Digits, spoken digits as spikes of 700 channels",
    license: "CC BY 4.0",
    citation: HEIDELBERG,
    homepage: HEIDELBERG_PAGE,
    access: Access::Files(&[
        file(
            "shd_train.h5.zip",
            &["https://zenkelab.org/datasets/shd_train.h5.zip"],
            "f3252aeb598ac776c1b526422d90eecb",
            Unpack::Zip,
        ),
        file(
            "shd_test.h5.zip",
            &["https://zenkelab.org/datasets/shd_test.h5.zip"],
            "1503a5064faa34311c398fb0a1ed0a6f",
            Unpack::Zip,
        ),
    ]),
};

const SSC: Source = Source {
    name: "ssc",
    title: "Spiking Speech Commands, spoken words as spikes of 700 channels",
    license: "CC BY 4.0",
    citation: HEIDELBERG,
    homepage: HEIDELBERG_PAGE,
    access: Access::Files(&[
        file(
            "ssc_train.h5.zip",
            &["https://zenkelab.org/datasets/ssc_train.h5.zip"],
            "d102be95e7144fcc0553d1f45ba94170",
            Unpack::Zip,
        ),
        file(
            "ssc_valid.h5.zip",
            &["https://zenkelab.org/datasets/ssc_valid.h5.zip"],
            "b4eee3516a4a90dd0c71a6ac23a8ae43",
            Unpack::Zip,
        ),
        file(
            "ssc_test.h5.zip",
            &["https://zenkelab.org/datasets/ssc_test.h5.zip"],
            "a35ff1e9cffdd02a20eb850c17c37748",
            Unpack::Zip,
        ),
    ]),
};

const GESTURES: &str = "Amir et al., \"A low power, fully event-based gesture recognition system\", CVPR 2017, doi:10.1109/CVPR.2017.781";

const DVS_GESTURE: Source = Source {
    name: "dvs-gesture",
    title: "DVS128 Gesture, as IBM ships it",
    license: "CC BY 4.0",
    citation: GESTURES,
    homepage: "https://research.ibm.com/interactive/dvsgesture/",
    access: Access::ByHand(&[
        "open https://ibm.ent.box.com/s/3hiq58ww1pbbjrinh367ykfdf60xsfm8/folder/50167556794 in a browser",
        "download DvsGesture.tar.gz (its MD5 is 8a5c71fb11e24e5ca5b11866ca6c00a1)",
        "unpack it: tar -xzf DvsGesture.tar.gz",
        "check it: snn-bench data check --data DvsGesture",
    ]),
};

const DVS_GESTURE_TONIC: Source = Source {
    name: "dvs-gesture-tonic",
    title: "DVS128 Gesture, as Tonic cuts it (1,077 and 264 samples, times in ms)",
    license: "CC BY 4.0",
    citation: GESTURES,
    homepage: "https://tonic.readthedocs.io/",
    access: Access::Files(&[
        file(
            "ibmGestureTrain.tar.gz",
            &["https://figshare.com/ndownloader/files/38022171"],
            "3a8f0d4120a166bac7591f77409cb105",
            Unpack::TarGz,
        ),
        file(
            "ibmGestureTest.tar.gz",
            &["https://figshare.com/ndownloader/files/38020584"],
            "56070e45dadaa85fff82e0fbfbc06de5",
            Unpack::TarGz,
        ),
    ]),
};

const NCARS: Source = Source {
    name: "ncars",
    title: "N-Cars, cars and other things seen by an event camera behind a windscreen",
    license: "see the page of the data set",
    citation: "Sironi, Brambilla, Bourdis, Lagorce and Benosman, \"HATS: Histograms of averaged time surfaces for robust event-based object classification\", 2018, doi:10.1109/CVPR.2018.00186",
    homepage: "https://www.prophesee.ai/2018/03/13/dataset-n-cars/",
    access: Access::ByHand(&[
        "open https://www.prophesee.ai/2018/03/13/dataset-n-cars/ in a browser and ask for the data set",
        "download and unpack the archive, and the archives in it, until the folders n-cars_train and n-cars_test lie side by side",
        "check it: snn-bench data check --data <the folder of both>",
    ]),
};

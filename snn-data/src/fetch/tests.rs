//! Downloads from a server on the loopback interface that misbehaves in every way it is told to.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::num::wide;

/// How one connection is answered.
#[derive(Debug, Clone)]
enum Answer {
    /// The file, from the byte asked for on.
    Range,
    /// The whole file, whatever was asked for.
    Whole,
    /// The range, cut off after so many bytes.
    Drop(usize),
    /// The whole file whatever was asked for, cut off after so many bytes.
    DropWhole(usize),
    /// No bytes but a status.
    Status(u16),
    /// Another address.
    Redirect(String),
    /// A range that was not asked for.
    WrongRange,
    /// The file in chunks without a length.
    Chunked,
    /// The connection closes without a word.
    Silence,
}

/// A server that gives each connection the next of its answers, and the last one from then on.
struct Server {
    url: String,
    /// The `Range` headers it saw.
    ranges: Arc<Mutex<Vec<Option<String>>>>,
}

fn serve(bytes: Vec<u8>, answers: Vec<Answer>) -> Server {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/data.bin", listener.local_addr().unwrap());
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ranges);
    thread::spawn(move || {
        for (k, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { break };
            let answer = answers[k.min(answers.len() - 1)].clone();
            // A client that hangs up is part of the game.
            let _ = respond(stream, &bytes, &answer, &seen);
        }
    });
    Server { url, ranges }
}

fn respond(
    mut stream: TcpStream,
    bytes: &[u8],
    answer: &Answer,
    seen: &Mutex<Vec<Option<String>>>,
) -> io::Result<()> {
    let mut range = None;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        let lower = line.to_ascii_lowercase();
        range = lower.strip_prefix("range: ").map(str::to_owned).or(range);
    }
    seen.lock().unwrap().push(range.clone());
    let start = range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    let close = "Connection: close\r\n\r\n";
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{close}", bytes.len());
    let send = |stream: &mut TcpStream, head: &str, body: &[u8]| {
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)
    };
    let ranged = |from: usize| {
        let (last, len) = (bytes.len() - 1, bytes.len());
        let range = format!("Content-Range: bytes {from}-{last}/{len}\r\nContent-Length: {}\r\n", len - from);
        format!("HTTP/1.1 206 Partial Content\r\n{range}{close}")
    };
    match answer {
        Answer::Silence => Ok(()),
        Answer::Whole => send(&mut stream, &whole, bytes),
        Answer::DropWhole(n) => send(&mut stream, &whole, &bytes[..*n]),
        Answer::Status(code) => {
            send(&mut stream, &format!("HTTP/1.1 {code} No\r\nContent-Length: 0\r\n{close}"), b"")
        }
        Answer::Redirect(to) => {
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n{close}");
            send(&mut stream, &head, b"")
        }
        Answer::WrongRange => send(&mut stream, &ranged(start / 2), &bytes[start / 2..]),
        Answer::Chunked => {
            let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{close}");
            let body: Vec<u8> = bytes
                .chunks(1000)
                .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
                .collect();
            send(&mut stream, &head, &[&body[..], b"0\r\n\r\n"].concat())
        }
        Answer::Range | Answer::Drop(_) if start >= bytes.len() => {
            let len = bytes.len();
            let range = format!("Content-Range: bytes */{len}\r\nContent-Length: 0\r\n{close}");
            send(&mut stream, &format!("HTTP/1.1 416 Range Not Satisfiable\r\n{range}"), b"")
        }
        Answer::Range if start == 0 => send(&mut stream, &whole, bytes),
        Answer::Range => send(&mut stream, &ranged(start), &bytes[start..]),
        Answer::Drop(n) => {
            let head = if start == 0 { whole } else { ranged(start) };
            send(&mut stream, &head, &bytes[start..(start + n).min(bytes.len())])
        }
    }
}

fn bytes() -> Vec<u8> {
    (0..200_000_u32).map(|k| k.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn config() -> FetchConfig {
    let (pause, timeout) = (Duration::ZERO, Duration::from_secs(5));
    FetchConfig { max_failures: 3, pause, timeout, proxy: None }
}

/// Fetches `data.bin` from a server that answers as told.
struct Case {
    folder: TempDir,
    server: Server,
    sha256: String,
    n_bytes: Option<u64>,
}

impl Case {
    fn new(answers: Vec<Answer>) -> Self {
        let n_bytes = Some(wide(bytes().len()));
        Self {
            folder: tempfile::tempdir().unwrap(),
            server: serve(bytes(), answers),
            sha256: sha256(&bytes()),
            n_bytes,
        }
    }

    fn run(&self) -> Result<Vec<Fetched>, FetchError> {
        self.run_with(&mut |_| ControlFlow::Continue(()))
    }

    fn run_with(&self, observe: &mut Observer<'_>) -> Result<Vec<Fetched>, FetchError> {
        let urls = [&*self.server.url];
        let digest = Digest::Sha256(&self.sha256);
        let file =
            RemoteFile { name: "data.bin", urls: &urls, n_bytes: self.n_bytes, digest, unpack: Unpack::No };
        fetch(&[file], self.folder.path(), &config(), observe)
    }

    fn leave_part(&self, part: &[u8]) {
        fs::create_dir_all(self.folder.path().join(WORK)).unwrap();
        fs::write(self.part(), part).unwrap();
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join(WORK).join("data.bin.part")
    }

    fn ranges(&self) -> Vec<Option<String>> {
        self.server.ranges.lock().unwrap().clone()
    }

    /// The file is there and right.
    fn succeeds(&self) {
        assert!(!self.run().unwrap()[0].was_there);
        assert_eq!(fs::read(self.folder.path().join("data.bin")).unwrap(), bytes());
        assert!(!self.part().exists());
    }

    /// It fails, and nothing has the name of the data.
    fn fails(&self) -> FetchError {
        let error = self.run().unwrap_err();
        assert!(!self.folder.path().join("data.bin").exists());
        error
    }
}

fn range(from: usize) -> Option<String> {
    Some(format!("bytes={from}-"))
}

#[test]
fn a_file_is_fetched_once() {
    let case = Case::new(vec![Answer::Range]);
    case.succeeds();
    let again = case.run().unwrap();
    assert!(again[0].was_there);
    assert_eq!(again[0].paths, [case.folder.path().join("data.bin")]);
    assert_eq!(case.ranges(), [None]);
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let case = Case::new(vec![Answer::Drop(70_000), Answer::Silence, Answer::Drop(70_000), Answer::Range]);
    case.succeeds();
    assert_eq!(case.ranges(), [None, range(70_000), range(70_000), range(140_000)]);
}

#[test]
fn many_breaks_are_no_failure_while_bytes_come() {
    let case = Case::new(vec![Answer::Drop(11_000)]);
    case.succeeds();
    assert_eq!(case.ranges().len(), 19);
}

#[test]
fn a_server_without_ranges_begins_anew_and_is_given_up_when_it_gets_no_further() {
    Case::new(vec![Answer::DropWhole(70_000), Answer::DropWhole(10), Answer::Whole]).succeeds();
    let case = Case::new(vec![Answer::DropWhole(70_000)]);
    let message = case.fails().to_string();
    assert!(message.contains("the connection broke after 70000 bytes"), "{message}");
    assert_eq!(case.ranges().len(), 3);
}

#[test]
fn the_next_run_goes_on_where_the_last_one_ended() {
    let case = Case::new(vec![
        Answer::Drop(50_000),
        Answer::Silence,
        Answer::Silence,
        Answer::Silence,
        Answer::Range,
    ]);
    case.fails();
    assert_eq!(fs::read(case.part()).unwrap(), bytes()[..50_000]);
    case.succeeds();
    assert_eq!(case.ranges().last(), Some(&range(50_000)));
}

#[test]
fn a_run_that_is_interrupted_keeps_what_it_has() {
    let case = Case::new(vec![Answer::Range]);
    let mut stop = |p: Progress<'_>| match p.done {
        0..100_000 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    assert!(matches!(case.run_with(&mut stop), Err(FetchError::Interrupted)));
    assert!(fs::metadata(case.part()).unwrap().len() >= 100_000);
    case.succeeds();
}

#[test]
fn wrong_bytes_of_an_earlier_run_are_fetched_again_once() {
    let case = Case::new(vec![Answer::Range]);
    case.leave_part(&[7; 50_000]);
    case.succeeds();
    assert_eq!(case.ranges(), [range(50_000), None]);
    let case = Case { sha256: sha256(b"another file"), ..Case::new(vec![Answer::Range]) };
    case.leave_part(&bytes());
    let message = case.fails().to_string();
    assert!(message.contains("its SHA-256 is"), "{message}");
    assert_eq!(fs::metadata(case.part()).unwrap().len(), 0);
}

#[test]
fn a_complete_part_is_checked_without_asking_or_at_a_refused_range() {
    let case = Case::new(vec![Answer::Silence]);
    case.leave_part(&bytes());
    case.succeeds();
    assert!(case.ranges().is_empty());
    let case = Case { n_bytes: None, ..Case::new(vec![Answer::Range]) };
    case.leave_part(&bytes());
    case.succeeds();
    assert_eq!(case.ranges(), [range(200_000)]);
}

#[test]
fn a_part_that_is_too_long_is_begun_anew() {
    let case = Case::new(vec![Answer::Range]);
    case.leave_part(&[1; 300_000]);
    case.succeeds();
    assert_eq!(case.ranges(), [range(300_000), None]);
}

#[test]
fn another_range_than_asked_for_is_not_appended() {
    let case = Case::new(vec![Answer::Drop(60_000), Answer::WrongRange, Answer::Range]);
    case.succeeds();
    assert_eq!(case.ranges(), [None, range(60_000), None]);
    let case = Case::new(vec![Answer::Drop(60_000), Answer::WrongRange, Answer::Silence]);
    assert!(matches!(case.fails(), FetchError::Http { .. }));
}

#[test]
fn lengths_and_hashes_are_those_published() {
    let case = Case { n_bytes: Some(199_999), ..Case::new(vec![Answer::Whole]) };
    let message = case.fails().to_string();
    assert!(message.ends_with("200000 bytes, the published file has 199999"), "{message}");
    assert_eq!(case.ranges().len(), 1);
    let case = Case { n_bytes: Some(150_000), ..Case::new(vec![Answer::Chunked]) };
    assert!(matches!(case.fails(), FetchError::WrongLength { .. }));
    let case = Case { sha256: sha256(b"other"), ..Case::new(vec![Answer::Whole]) };
    assert!(matches!(case.fails(), FetchError::WrongHash { kind: "SHA-256", .. }));
}

#[test]
fn a_file_without_a_length_is_received_to_its_end() {
    Case { n_bytes: None, ..Case::new(vec![Answer::Chunked]) }.succeeds();
}

#[test]
fn redirects_are_followed_with_the_range() {
    let target = serve(bytes(), vec![Answer::Drop(30_000), Answer::Range]);
    let case = Case::new(vec![Answer::Redirect(target.url.clone())]);
    case.succeeds();
    assert_eq!(*target.ranges.lock().unwrap(), [None, range(30_000)]);
    let case = Case::new(vec![Answer::Redirect("/data.bin".to_owned())]);
    assert!(matches!(case.fails(), FetchError::Http { .. }), "a circle");
}

#[test]
fn refusals_end_at_once_and_trouble_is_tried_again() {
    let case = Case::new(vec![Answer::Status(404)]);
    assert!(case.fails().to_string().ends_with("the server answered 404"));
    assert_eq!(case.ranges().len(), 1);
    Case::new(vec![Answer::Status(503), Answer::Status(429), Answer::Range]).succeeds();
    let case = Case::new(vec![Answer::Status(500)]);
    assert!(matches!(case.fails(), FetchError::Status { status: 500, .. }));
    assert_eq!(case.ranges().len(), 3);
}

#[test]
fn mirrors_take_turns() {
    let (bad, good) = (serve(bytes(), vec![Answer::Status(404)]), serve(bytes(), vec![Answer::Range]));
    let (folder, sha256) = (tempfile::tempdir().unwrap(), sha256(&bytes()));
    let urls = [&*bad.url, &*good.url];
    let digest = Digest::Sha256(&sha256);
    let file = RemoteFile { name: "a", urls: &urls, n_bytes: None, digest, unpack: Unpack::No };
    fetch(&[file], folder.path(), &config(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(fs::read(folder.path().join("a")).unwrap(), bytes());
}

#[test]
fn a_file_of_other_content_is_not_taken_and_not_overwritten() {
    let case = Case::new(vec![Answer::Range]);
    let path = case.folder.path().join("data.bin");
    fs::write(&path, b"mine").unwrap();
    assert!(matches!(case.run(), Err(FetchError::WrongHash { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn one_process_at_a_time() {
    let case = Case::new(vec![Answer::Range]);
    let lock = lock(case.folder.path()).unwrap();
    assert!(matches!(case.fails(), FetchError::Busy { .. }));
    drop(lock);
    case.succeeds();
}

/// An archive of files with these names.
fn zip_of(names: &[&str]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for name in names {
        writer.start_file(*name, options).unwrap();
        writer.write_all(name.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn tar_of(entries: &[(&str, tar::EntryType)]) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    for (name, kind) in entries {
        let mut header = tar::Header::new_ustar();
        // Set as bytes: the safe way refuses the names that are tested.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(if kind.is_file() { wide(name.len()) } else { 0 });
        header.set_cksum();
        builder.append(&header, if kind.is_file() { name.as_bytes() } else { b"" }).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn fetch_archive(folder: &Path, bytes: &[u8], unpack: Unpack) -> Result<Vec<Fetched>, FetchError> {
    let (server, sha256) = (serve(bytes.to_vec(), vec![Answer::Range]), sha256(bytes));
    let (urls, digest) = ([&*server.url], Digest::Sha256(&sha256));
    let file = RemoteFile { name: "a.archive", urls: &urls, n_bytes: None, digest, unpack };
    fetch(&[file], folder, &config(), &mut |_| ControlFlow::Continue(()))
}

/// Names of all files below a folder, but for those of unfinished work.
fn files_below(folder: &Path) -> HashSet<String> {
    let mut found = HashSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name == WORK {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.insert(name);
        }
    }
    found
}

#[test]
fn archives_are_unpacked_once_and_again_when_their_content_is_gone() {
    let tar = tar_of(&[("Train/0/1.bin", tar::EntryType::Regular), ("Train/1", tar::EntryType::Directory)]);
    let zip = zip_of(&["Train/0/1.bin", "__MACOSX/x", "Train/.DS_Store"]);
    for (bytes, kind) in [(zip, Unpack::Zip), (tar, Unpack::TarGz)] {
        let folder = tempfile::tempdir().unwrap();
        let fetched = fetch_archive(folder.path(), &bytes, kind).unwrap();
        assert_eq!(fetched[0].paths, [folder.path().join("Train")]);
        assert_eq!(files_below(folder.path()), HashSet::from(["Train/0/1.bin".to_owned()]));
        assert_eq!(fs::read(folder.path().join("Train/0/1.bin")).unwrap(), b"Train/0/1.bin");
        assert!(!folder.path().join(WORK).join("a.archive").exists());
        assert!(fetch_archive(folder.path(), &bytes, kind).unwrap()[0].was_there);
        fs::remove_dir_all(folder.path().join("Train")).unwrap();
        assert!(!fetch_archive(folder.path(), &bytes, kind).unwrap()[0].was_there);
        assert!(folder.path().join("Train/0/1.bin").exists());
    }
}

#[test]
fn entries_that_lead_elsewhere_are_refused() {
    use tar::EntryType::{Link, Regular, Symlink};
    let outside = ["../evil", "a/../../evil", "/tmp/evil", "a\\..\\evil"];
    let mut archives: Vec<_> = outside.iter().map(|name| (zip_of(&["ok", name]), Unpack::Zip)).collect();
    archives.extend(outside.iter().map(|name| (tar_of(&[(name, Regular)]), Unpack::TarGz)));
    archives.extend([Link, Symlink].map(|kind| (tar_of(&[("link", kind)]), Unpack::TarGz)));
    archives.push((tar_of(&[("twice", Regular), ("./twice", Regular)]), Unpack::TarGz));
    for (bytes, kind) in archives {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("below");
        let error = fetch_archive(&folder, &bytes, kind).unwrap_err();
        assert!(matches!(error, FetchError::BadEntry { .. }), "{error}");
        assert!(files_below(parent.path()).is_empty());
    }
}

#[test]
fn damaged_and_swollen_archives_are_refused() {
    let whole = zip_of(&["a", "b"]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetch_archive(folder.path(), &whole[..whole.len() - 10], Unpack::Zip).unwrap_err();
    assert!(matches!(error, FetchError::BadArchive { .. }), "{error}");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut header = tar::Header::new_ustar();
    header.set_path("zeros").unwrap();
    header.set_size(1 << 26);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    encoder.write_all(&vec![0; 1 << 26]).unwrap();
    let error = fetch_archive(folder.path(), &encoder.finish().unwrap(), Unpack::TarGz).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    assert!(files_below(folder.path()).is_empty());
}

#[test]
fn what_is_in_the_way_stays() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Train"), b"mine").unwrap();
    let zip = zip_of(&["Other/1.bin", "Train/0/1.bin"]);
    assert!(matches!(fetch_archive(folder.path(), &zip, Unpack::Zip), Err(FetchError::InTheWay { .. })));
    assert_eq!(files_below(folder.path()), HashSet::from(["Train".to_owned()]));
    fs::remove_file(folder.path().join("Train")).unwrap();
    fetch_archive(folder.path(), &zip, Unpack::Zip).unwrap();
    assert_eq!(files_below(folder.path()).len(), 2);
}

#[test]
fn a_death_at_any_step_is_made_good_by_the_next_run() {
    let zip = zip_of(&["a/1", "b/2"]);
    let whole = HashSet::from(["a/1".to_owned(), "b/2".to_owned()]);
    let deaths: [fn(&Path); 3] = [
        // While it was unpacked.
        |work| {
            fs::create_dir_all(work.join("a.archive.unpacking/a")).unwrap();
            fs::write(work.join("a.archive.unpacking/a/1"), b"hal").unwrap();
        },
        // Before anything was moved.
        |work| {
            fs::create_dir_all(work.join("a.archive.unpacked")).unwrap();
            for name in ["a/1", "b/2"] {
                let path = work.join("a.archive.unpacked").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, name).unwrap();
            }
        },
        // After the first of two was moved.
        |work| {
            fs::create_dir_all(work.join("a.archive.unpacked/b")).unwrap();
            fs::write(work.join("a.archive.unpacked/b/2"), b"b/2").unwrap();
            fs::write(work.join("a.archive.moving"), "a\nb").unwrap();
            fs::create_dir_all(work.join("../a")).unwrap();
            fs::write(work.join("../a/1"), b"a/1").unwrap();
        },
    ];
    for die in deaths {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(WORK)).unwrap();
        die(&folder.path().join(WORK));
        fetch_archive(folder.path(), &zip, Unpack::Zip).unwrap();
        assert_eq!(files_below(folder.path()), whole);
        assert_eq!(fs::read(folder.path().join("a/1")).unwrap(), b"a/1");
    }
}

#[test]
fn the_catalog_is_consistent() {
    let names: HashSet<&str> = catalog::ALL.iter().map(|source| source.name).collect();
    assert_eq!(names.len(), catalog::ALL.len());
    for source in catalog::ALL {
        assert_eq!(catalog::find(source.name).map(|found| found.title), Some(source.title));
        let Access::Files(files) = source.access else { continue };
        for file in files {
            let n_digits = if matches!(file.digest, Digest::Md5(_)) { 32 } else { 64 };
            assert_eq!(file.digest.hex().len(), n_digits, "{}", file.name);
            assert!(file.digest.hex().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
            assert!(!file.urls.is_empty() && file.urls.iter().all(|url| url.starts_with("http")));
        }
    }
}

//! Loss and accuracy over the epochs.

use super::*;

/// Loss and accuracy, side by side.
pub(in crate::report) fn training(data: &Training) -> Result<Vec<Figure>, ReportError> {
    let loss = Curves {
        slug: "training-loss",
        title: "Loss",
        label: "mean loss",
        scale: Scale::from_zero,
        train: |point| Some(point.train_loss),
        val: |point| point.val_loss,
    };
    let accuracy = Curves {
        slug: "training-accuracy",
        title: "Accuracy",
        label: "accuracy (%)",
        scale: percent_scale,
        train: |point| Some(100.0 * point.train_accuracy?),
        val: |point| Some(100.0 * point.val_accuracy?),
    };
    Ok(vec![loss.figure(data)?, accuracy.figure(data)?])
}

/// A quantity that is followed over the epochs, on the training and on the validation samples.
struct Curves {
    slug: &'static str,
    title: &'static str,
    label: &'static str,
    scale: fn(Vec<f64>) -> Scale,
    train: fn(&EpochPoint) -> Option<f64>,
    val: fn(&EpochPoint) -> Option<f64>,
}

impl Curves {
    fn figure(&self, data: &Training) -> Result<Figure, ReportError> {
        let caption = format!(
            "{} at the end of each epoch: thin lines on the {} training samples, bold lines on the {} \
             validation samples. One line per seed ({}).",
            self.title,
            data.n_train,
            data.n_val,
            figure::listed(&seeds(data)),
        );
        Ok(Figure {
            slug: self.slug.to_owned(),
            title: format!("{} during training", self.title),
            svg: Canvas::svg(figure::HALF, &caption, |canvas| self.draw(canvas, data)),
            caption,
            is_wide: false,
            csv: self.csv(data)?,
        })
    }

    fn draw(&self, canvas: &mut Canvas<'_>, data: &Training) {
        let names = figure::distinct(data.runs.iter().map(|run| run.name.as_str()));
        let frame = Frame::draw(canvas, epoch_axis(data), self.axis(data), &keys(&names));
        for run in &data.runs {
            let idx = names.iter().position(|&name| name == run.name).unwrap_or(0);
            let color = plot::series_color(idx);
            self.line(canvas, &frame, run, self.train, Stroke::new(color, 1.0).faint(0.55));
            self.line(canvas, &frame, run, self.val, Stroke::new(color, 2.2));
        }
    }

    fn line(
        &self,
        canvas: &mut Canvas<'_>,
        frame: &Frame,
        run: &TrainingRun,
        value: fn(&EpochPoint) -> Option<f64>,
        stroke: Stroke,
    ) {
        let place = |point: &EpochPoint| Some(frame.at(f64::from(point.epoch), value(point)?));
        let points: Vec<Point> = run.epochs.iter().filter_map(place).collect();
        frame.path(canvas, &points, stroke);
    }

    fn axis(&self, data: &Training) -> Axis {
        let points = data.runs.iter().flat_map(|run| &run.epochs);
        let values: Vec<f64> =
            points.flat_map(|point| [(self.train)(point), (self.val)(point)]).flatten().collect();
        let scale = (self.scale)(values);
        Axis::new(self.label, scale)
    }

    fn csv(&self, data: &Training) -> Result<String, ReportError> {
        let rows = data.runs.iter().flat_map(|run| {
            run.epochs.iter().map(move |point| {
                [
                    run.name.clone(),
                    run.seed.to_string(),
                    point.epoch.to_string(),
                    figure::field((self.train)(point)),
                    figure::field((self.val)(point)),
                ]
            })
        });
        let quantity = self.label.replace([' ', '('], "_").replace("_%)", "percent").replace("__", "_");
        let [train, val] = ["train", "val"].map(|split| format!("{split}_{quantity}"));
        figure::csv_text(["run", "seed", "epoch", &train, &val], rows)
    }
}

fn epoch_axis(data: &Training) -> Axis {
    let last = data.runs.iter().flat_map(|run| &run.epochs).map(|point| point.epoch).max();
    Axis::new("epoch", Scale::Linear { lo: 0.0, hi: f64::from(last.unwrap_or(0).max(1)) })
}

fn keys(names: &[&str]) -> Vec<Key> {
    let runs = names.iter().enumerate();
    let mut keys: Vec<Key> =
        runs.map(|(idx, &name)| Key::new(name, plot::series_color(idx), Swatch::Line(2.2, 1.0))).collect();
    keys.push(Key::new("training", plot::MUTED, Swatch::Line(1.0, 0.7)));
    keys.push(Key::new("validation", plot::MUTED, Swatch::Line(2.2, 1.0)));
    keys
}

fn seeds(data: &Training) -> Vec<u64> {
    let mut seeds: Vec<u64> = data.runs.iter().map(|run| run.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}

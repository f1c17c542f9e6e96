//! `metrics.jsonl`: one JSON object a line, appended as a run goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{RunDirError, write_atomic};

/// Appends `record` as one line. A torn last line, left by a killed process, is removed first.
pub(super) fn append(path: &Path, record: &impl Serialize) -> Result<(), RunDirError> {
    let mut line = serde_json::to_vec(record).map_err(|source| RunDirError::Json {
        path: path.to_owned(),
        line: None,
        source,
    })?;
    line.push(b'\n');
    append_line(path, &line).map_err(|source| RunDirError::Io { path: path.to_owned(), source })
}

fn append_line(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let end = end_of_last_line(&mut file)?;
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    let written = file.write_all(line).and_then(|()| file.sync_data());
    if written.is_err() {
        file.set_len(end)?;
    }
    written
}

/// Length of the file up to and with its last line feed.
fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut byte = [0_u8];
    while end > 0 {
        file.seek(SeekFrom::Start(end - 1))?;
        file.read_exact(&mut byte)?;
        if byte == *b"\n" {
            break;
        }
        end -= 1;
    }
    Ok(end)
}

/// All complete records; none when the file does not exist yet.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RunDirError> {
    let parse = |(idx, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|source| RunDirError::Json {
            path: path.to_owned(),
            line: Some(idx + 1),
            source,
        })
    };
    complete_lines(path)?.lines().enumerate().map(parse).collect()
}

/// Keeps the first `n_records` records: what a resumed run does with those after its checkpoint.
pub(super) fn keep(path: &Path, n_records: usize) -> Result<(), RunDirError> {
    let text = complete_lines(path)?;
    if text.lines().count() <= n_records {
        return Ok(());
    }
    write_atomic(path, |file| text.lines().take(n_records).try_for_each(|line| writeln!(file, "{line}")))
}

fn complete_lines(path: &Path) -> Result<String, RunDirError> {
    let mut text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other.map_err(|source| RunDirError::Io { path: path.to_owned(), source })?,
    };
    text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn file_with(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn appends_one_object_a_line() {
        let (_folder, path) = file_with("");
        append(&path, &json!({"epoch": 0, "loss": 0.1})).unwrap();
        append(&path, &json!({"epoch": 1, "loss": 0.05})).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"epoch\":0,\"loss\":0.1}\n{\"epoch\":1,\"loss\":0.05}\n");
    }

    #[test]
    fn torn_last_line_is_ignored_and_then_replaced() {
        let (_folder, path) = file_with("{\"epoch\":0}\n{\"epoch\":1,\"lo");
        assert_eq!(read::<Value>(&path).unwrap(), [json!({"epoch": 0})]);
        append(&path, &json!({"epoch": 1})).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"epoch\":0}\n{\"epoch\":1}\n");
    }

    #[test]
    fn torn_only_line_is_removed() {
        let (_folder, path) = file_with("{\"ep");
        append(&path, &json!({"epoch": 0})).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"epoch\":0}\n");
    }

    #[test]
    fn bad_line_in_the_middle_is_named() {
        let (_folder, path) = file_with("{\"epoch\":0}\nnot json\n{\"epoch\":2}\n");
        let error = read::<Value>(&path).unwrap_err();
        assert!(error.to_string().contains("metrics.jsonl, line 2"), "{error}");
    }

    #[test]
    fn keeps_the_first_records() {
        let (_folder, path) = file_with("{\"epoch\":0}\n{\"epoch\":1}\n{\"epoch\":2}\n");
        keep(&path, 2).unwrap();
        assert_eq!(read::<Value>(&path).unwrap().len(), 2);
        keep(&path, 5).unwrap();
        assert_eq!(read::<Value>(&path).unwrap().len(), 2);
    }

    #[test]
    fn missing_file_has_no_records() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read::<Value>(&folder.path().join("metrics.jsonl")).unwrap().is_empty());
    }
}

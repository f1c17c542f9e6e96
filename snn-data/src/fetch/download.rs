//! One file: requests that go on where the one before broke, until the hash is right.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::{FetchConfig, FetchError, Observer, Progress, RemoteFile, Stage, tell};
use crate::num::wide;

const CHUNK: usize = 1 << 16;

/// The bytes of a file received so far.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Part {
    fn open(path: &Path) -> Result<Self, FetchError> {
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(path);
        let mut file = opened.map_err(FetchError::io("open", path))?;
        let len = file.seek(SeekFrom::End(0)).map_err(FetchError::io("read", path))?;
        Ok(Self { path: path.to_owned(), file, len })
    }

    fn clear(&mut self) -> Result<(), FetchError> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.rewind());
        self.len = 0;
        cleared.map_err(FetchError::io("write", &self.path))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(FetchError::io("write", &self.path))?;
        self.len += wide(bytes.len());
        Ok(())
    }
}

/// Receives `file` into the file at `part`, which afterwards has its hash.
pub(super) fn download(
    agent: &Agent,
    file: &RemoteFile<'_>,
    part: &Path,
    config: &FetchConfig,
    observe: &mut Observer<'_>,
) -> Result<(), FetchError> {
    let mut part = Part::open(part)?;
    let mut is_from_before = part.len > 0;
    loop {
        receive(agent, file, &mut part, config, observe)?;
        part.file.sync_all().map_err(FetchError::io("write", &part.path))?;
        match file.digest.check(&part.path, file.name, observe) {
            Err(FetchError::WrongHash { .. }) if is_from_before => part.clear()?,
            Err(error @ FetchError::WrongHash { .. }) => {
                part.clear()?;
                return Err(error);
            }
            other => return other,
        }
        is_from_before = false;
    }
}

/// Requests the rest of `file` until there is no more, with pauses after failures.
fn receive(
    agent: &Agent,
    file: &RemoteFile<'_>,
    part: &mut Part,
    config: &FetchConfig,
    observe: &mut Observer<'_>,
) -> Result<(), FetchError> {
    let (mut n_failures, mut longest) = (0, part.len);
    let mut urls = file.urls.iter().cycle();
    while file.n_bytes != Some(part.len) {
        let Some(url) = urls.next() else { break };
        match request(agent, file, url, part, observe) {
            Ok(()) => return Ok(()),
            Err(error @ (FetchError::Io { .. } | FetchError::Interrupted)) => return Err(error),
            Err(error) => {
                n_failures = if part.len > longest { 1 } else { n_failures + 1 };
                longest = longest.max(part.len);
                let is_last_hope = file.urls.len() == 1 && !may_pass(&error);
                if is_last_hope || n_failures >= config.max_failures.max(1) {
                    return Err(error);
                }
                std::thread::sleep(config.pause * (1 << (n_failures - 1).min(6)));
            }
        }
    }
    Ok(())
}

/// Whether asking again may help.
fn may_pass(error: &FetchError) -> bool {
    match error {
        FetchError::Status { status, .. } => matches!(status, 408 | 416 | 429 | 500..=599),
        FetchError::WrongLength { .. } => false,
        _ => true,
    }
}

/// One request for what is missing.
fn request(
    agent: &Agent,
    file: &RemoteFile<'_>,
    url: &str,
    part: &mut Part,
    observe: &mut Observer<'_>,
) -> Result<(), FetchError> {
    let mut request = agent.get(url);
    if part.len > 0 {
        request = request.header(header::RANGE, format!("bytes={}-", part.len));
    }
    let failed = |cause| FetchError::Http { url: url.to_owned(), cause: Box::new(cause) };
    let response = request.call().map_err(failed)?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {}
        StatusCode::OK => part.clear()?,
        StatusCode::RANGE_NOT_SATISFIABLE if content_range(&response) == Some((None, Some(part.len))) => {
            return Ok(());
        }
        status => {
            if status == StatusCode::RANGE_NOT_SATISFIABLE {
                part.clear()?;
            }
            return Err(FetchError::Status { url: url.to_owned(), status: status.as_u16() });
        }
    }
    let total = total_of(&response, url, part)?;
    let wrong = total.zip(file.n_bytes).filter(|(found, expected)| found != expected);
    if let Some((found, expected)) = wrong {
        return Err(FetchError::WrongLength { url: url.to_owned(), found, expected });
    }
    let known = Known { name: file.name, url, total: total.or(file.n_bytes) };
    copy(response.into_body(), &known, part, observe)
}

/// Length of the whole file as the server states it; an error if it sends another part than was asked for.
fn total_of(response: &Response<Body>, url: &str, part: &mut Part) -> Result<Option<u64>, FetchError> {
    if response.status() == StatusCode::OK {
        return Ok(text_of(response, header::CONTENT_LENGTH).and_then(|text| text.parse().ok()));
    }
    match content_range(response) {
        Some((Some(start), total)) if start == part.len => Ok(total),
        _ => {
            let found = text_of(response, header::CONTENT_RANGE).unwrap_or("no range").to_owned();
            let expected = part.len;
            part.clear()?;
            Err(FetchError::WrongRange { url: url.to_owned(), expected, found })
        }
    }
}

/// First byte (none for `*`) and length of the whole file, from `bytes 10-99/100` or `bytes */100`.
fn content_range(response: &Response<Body>) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = text_of(response, header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let start = if range == "*" { None } else { Some(range.split_once('-')?.0.parse().ok()?) };
    Some((start, total.parse().ok()))
}

fn text_of(response: &Response<Body>, name: header::HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// What is known of a file that is being received.
struct Known<'a> {
    name: &'a str,
    url: &'a str,
    total: Option<u64>,
}

/// Appends the body to the part.
fn copy(
    body: Body,
    known: &Known<'_>,
    part: &mut Part,
    observe: &mut Observer<'_>,
) -> Result<(), FetchError> {
    let (mut reader, mut buffer) = (body.into_reader(), vec![0; CHUNK]);
    let url = || known.url.to_owned();
    loop {
        let progress =
            Progress { file: known.name, stage: Stage::Receiving, done: part.len, total: known.total };
        tell(observe, progress)?;
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => part.append(&buffer[..n])?,
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return Err(FetchError::Broken { url: url(), received: part.len, cause }),
        }
        if let Some(expected) = known.total.filter(|&total| part.len > total) {
            let found = part.len;
            part.clear()?;
            return Err(FetchError::WrongLength { url: url(), found, expected });
        }
    }
    if known.total.is_some_and(|total| part.len < total) {
        let cause = io::Error::from(ErrorKind::UnexpectedEof);
        return Err(FetchError::Broken { url: url(), received: part.len, cause });
    }
    Ok(())
}

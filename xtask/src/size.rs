//! Lines of each crate, and functions that are too long.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::workspace;

/// A function with more lines is an error.
const MAX_FUNCTION_LINES: usize = 60;

/// A function's place and length.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    n_lines: usize,
}

/// Prints the lines of each crate; fails when a function is too long.
pub(crate) fn report() -> anyhow::Result<()> {
    println!("{:<14} {:>7} {:>7} {:>7}", "crate", "files", "code", "tests");
    let mut long = Vec::new();
    for member in workspace::members()? {
        let files = rust_files(&member.folder().join("src"))?;
        let (mut n_code, mut n_tests) = (0, 0);
        for path in &files {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let (code, tests) = split_off_tests(&text);
            n_code += code.lines().count();
            n_tests += tests.lines().count();
            long.extend(too_long(code).map(|function| describe(path, &function)));
        }
        println!("{:<14} {:>7} {n_code:>7} {n_tests:>7}", member.name, files.len());
    }
    if long.is_empty() {
        return Ok(());
    }
    bail!("functions of more than {MAX_FUNCTION_LINES} lines:\n  {}", long.join("\n  "))
}

fn describe(path: &Path, function: &Function) -> String {
    let path = path.strip_prefix(workspace::root()).unwrap_or(path);
    format!("{}:{}: {} has {} lines", path.display(), function.line, function.name, function.n_lines)
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A file's code and its unit tests, which stand last.
fn split_off_tests(text: &str) -> (&str, &str) {
    text.find("\n#[cfg(test)]\nmod tests").map_or((text, ""), |at| text.split_at(at + 1))
}

fn too_long(code: &str) -> impl Iterator<Item = Function> {
    functions(code).into_iter().filter(|function| function.n_lines > MAX_FUNCTION_LINES)
}

/// All functions. Formatted code closes a function at its own indentation.
fn functions(code: &str) -> Vec<Function> {
    let lines: Vec<&str> = code.lines().collect();
    let start = |(idx, line): (usize, &&str)| {
        let name = function_name(line)?.to_owned();
        let indent = &line[..line.len() - line.trim_start().len()];
        let n_lines = 1 + lines[idx..].iter().position(|later| closes(later, indent))?;
        Some(Function { name, line: idx + 1, n_lines })
    };
    lines.iter().enumerate().filter_map(start).collect()
}

/// Whether a line at `indent` ends a function: its brace, or all of it on one line, or a signature alone.
fn closes(line: &str, indent: &str) -> bool {
    let Some(rest) = line.strip_prefix(indent) else { return false };
    let is_deeper = rest.starts_with(' ');
    !is_deeper && (rest == "}" || rest.ends_with([';', '}']) && !rest.starts_with('#'))
}

/// Name of the function that starts on this line, if one does.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let is_qualifier = |word: &str| {
        matches!(word, "const" | "async" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub")
    };
    let keyword = words.find(|word| !is_qualifier(word) && *word != "crate)" && *word != "super)")?;
    let name = words.next().filter(|_| keyword == "fn")?;
    name.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "\
/// Says fn nothing().
pub(crate) const fn short<T>(x: T) -> T {
    x
}

impl A {
    fn inner(
        &self,
    ) -> u8 {
        if true {
            1
        }
    }
    fn declared(&self) -> u8;
    fn on_a_line() {}
}
";

    #[test]
    fn functions_are_measured_to_their_own_brace() {
        let expected = [("short", 2, 3), ("inner", 7, 7), ("declared", 14, 1), ("on_a_line", 15, 1)]
            .map(|(name, line, n_lines)| Function { name: name.to_owned(), line, n_lines });
        assert_eq!(functions(CODE), expected);
    }

    #[test]
    fn a_long_function_is_found() {
        let body = "    x();\n".repeat(MAX_FUNCTION_LINES);
        let code = format!("fn long() {{\n{body}}}\n");
        assert_eq!(too_long(&code).map(|f| f.n_lines).collect::<Vec<_>>(), [MAX_FUNCTION_LINES + 2]);
    }

    #[test]
    fn tests_are_counted_apart() {
        let (code, tests) = split_off_tests("fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n");
        assert_eq!((code, tests), ("fn a() {}\n\n", "#[cfg(test)]\nmod tests {\n}\n"));
    }
}

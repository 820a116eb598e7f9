//! Rust files as the rules see them: comments and the insides of strings blanked, lines kept, test
//! code known.

use std::fs;
use std::path::{Path, PathBuf};

/// The package's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// One Rust file.
pub struct Source {
    /// Its path from the package's folder, with `/`.
    pub path: String,
    /// As written.
    pub text: String,
    /// The code alone: comments and the contents of literals are blanks.
    pub code: String,
    /// For each line, whether it is compiled for tests only.
    pub test_lines: Vec<bool>,
}

impl Source {
    /// The room: the first folder or file below `src`.
    pub fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = inside.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Lines of code that are not for tests, with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.lines().enumerate();
        lines.filter(|(index, _)| !self.test_lines[*index]).map(|(index, line)| (index + 1, line))
    }

    /// A place for a message.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// Every Rust file below a folder, sorted.
pub fn rust_files(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    paths.sort();
    let mut sources: Vec<Source> = paths.iter().map(|path| read(path)).collect();
    let of_tests: Vec<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let inside = |module: &String| {
            stem == module || stem.strip_prefix(module).is_some_and(|rest| rest.starts_with('/'))
        };
        if of_tests.iter().any(inside) {
            source.test_lines.fill(true);
        }
    }
    sources
}

/// Every file below a folder but what is built, installed or hidden.
pub fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("the package's folders can be read");
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            // A corpus is bytes that nobody wrote.
            let left_out =
                ["target", "node_modules", "dist", "data", "corpus", "artifacts", "coverage"]
                    .contains(&name);
            let hidden = name.starts_with('.') && name != ".ci";
            if !left_out && !hidden {
                collect(&path, found);
            }
        } else if name != ".git" {
            found.push(path);
        }
    }
}

/// A path from the package's folder, with `/`.
pub fn relative(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    inside.to_string_lossy().replace('\\', "/")
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a Rust file is UTF-8");
    let code = blanked(&text);
    let test_lines = test_lines(&code);
    Source { path: relative(path), text, code, test_lines }
}

/// Files that a `#[cfg(test)] mod name;` declares, without their extension.
fn test_modules(source: &Source) -> Vec<String> {
    let stem = source.path.trim_end_matches(".rs");
    let folder = match stem.strip_suffix("/mod").or_else(|| stem.strip_suffix("/lib")) {
        Some(folder) => folder,
        None => stem,
    };
    let lines: Vec<&str> = source.code.lines().collect();
    let declares = |index: usize| {
        let line = lines[index].trim();
        let name = line.strip_suffix(';')?.rsplit_once("mod ")?.1;
        source.test_lines[index].then(|| format!("{folder}/{name}"))
    };
    (0..lines.len()).filter_map(declares).collect()
}

/// Lines under `#[cfg(test)]`: the attribute and the item after it. rustfmt puts an item's last
/// brace under its first letter.
fn test_lines(code: &str) -> Vec<bool> {
    let lines: Vec<&str> = code.lines().collect();
    let mut marks = vec![false; lines.len()];
    let mut index = 0;
    while index < lines.len() {
        if lines[index].trim() != "#[cfg(test)]" {
            index += 1;
            continue;
        }
        let end = index + item_lines(&lines[index..]);
        marks[index..end].fill(true);
        index = end;
    }
    marks
}

/// How many lines attributes and the item after them take.
fn item_lines(lines: &[&str]) -> usize {
    let indent = indent(lines[0]);
    for (count, line) in lines.iter().enumerate() {
        let body = line.trim_end();
        let same = self::indent(line) == indent && !body.trim().starts_with("#[");
        if same && (body.ends_with(';') || body.trim_start().starts_with('}')) {
            return count + 1;
        }
        if same && body.ends_with('}') && body.contains('{') {
            return count + 1;
        }
    }
    lines.len()
}

/// Blanks before the first letter.
pub fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The text with comments and the contents of literals as blanks; every line stays a line.
pub fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => until(&chars, at, |rest| rest[0] == '\n'),
            ('/', Some('*')) => until(&chars, at + 2, |rest| rest.starts_with(&['*', '/'])) + 2,
            ('"', _) => string_end(&chars, at + 1),
            ('r', Some('"' | '#')) if !is_word(&chars, at) => raw_end(&chars, at + 1),
            ('\'', _) => char_end(&chars, at),
            _ => at,
        };
        let end = end.min(chars.len());
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        out.extend(chars[at..end].iter().map(|&one| if one == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

fn until(chars: &[char], from: usize, ends: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|&at| ends(&chars[at..])).unwrap_or(chars.len())
}

/// Whether the character before belongs to the same word.
fn is_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && chars[at - 1] != 'b'
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// The end of a raw string; where it is none (`r#name`), nowhere.
fn raw_end(chars: &[char], from: usize) -> usize {
    let hashes = chars[from..].iter().take_while(|&&one| one == '#').count();
    if chars.get(from + hashes) != Some(&'"') {
        return from - 1;
    }
    let mut close = vec!['"'];
    close.resize(hashes + 1, '#');
    until(chars, from + hashes + 1, |rest| rest.starts_with(&close)) + hashes + 1
}

/// The end of a character literal; where it is a lifetime, nowhere.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => until(chars, at + 3, |rest| rest[0] == '\'') + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

#[test]
fn blanking_keeps_code_and_lines_and_drops_the_rest() {
    let text =
        "let a = \"x // \\\" y\"; // z\nlet b: &'a str = r#\"q\" w\"#;\nlet c = '\"'; d /* e\n */";
    let code = blanked(text);
    assert_eq!(code.lines().count(), text.lines().count());
    for gone in ["x", "y", "z", "q", "w", "e\n"] {
        assert!(!code.contains(gone), "{gone} in {code}");
    }
    assert!(code.contains("&'a str") && code.contains("; d "), "{code}");
}

#[test]
fn what_is_only_for_tests_is_known() {
    let code = "fn a() {\n}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n\
        #[cfg(test)]\nmod far;\nfn d() {}\n";
    let marks = test_lines(code);
    let wanted = [false, false, true, true, true, true, true, false, true, true, false];
    assert_eq!(marks, wanted);
}

//! Bytes to text: UTF-8, UTF-16 and ISO-8859-1, as declared and really so.
//!
//! XML 1.0, section 4.3.3 and appendix F. Line ends are normalised here (section 2.11), so that
//! nothing behind it sees a bare carriage return that was not written as a reference.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use super::{Limits, Violation};
use crate::domain::alert::rules::is_xml_char;

/// How far the encoding declaration is looked for; the longest useful one has about 60 bytes.
const DECLARATION_BYTES: usize = 256;

/// Bytes that are looked at before it is asked whether any of them needs a second look.
const CHUNK: usize = 256;

/// The document's text, without byte order mark, all of it characters of XML 1.0.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<String, Violation> {
    limits.check_bytes(bytes)?;
    if bytes.is_empty() {
        return Err(Violation::error("", "empty", "the body is empty".to_owned()));
    }
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => marked_utf8(rest)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, UTF_16BE, false)?,
        [0xff, 0xfe, rest @ ..] => utf16(rest, UTF_16LE, false)?,
        [0, b'<', 0, b'?', ..] => utf16(bytes, UTF_16BE, true)?,
        [b'<', 0, b'?', 0, ..] => utf16(bytes, UTF_16LE, true)?,
        _ => as_declared(bytes)?,
    };
    if !is_suspicious(text.as_bytes()) {
        return Ok(text);
    }
    let text =
        if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    match text.char_indices().find(|&(_, character)| !is_xml_char(character)) {
        None => Ok(text),
        Some((at, character)) => {
            let message = format!(
                "U+{:04X} is no character of XML, {}",
                u32::from(character),
                place(&text, at)
            );
            Err(Violation::error("", "character", message))
        }
    }
}

/// Whether there may be a carriage return or what is no character of XML. Of all bytes only those
/// of control characters and of what begins with EF (U+F000 and above, of which U+FFFE and U+FFFF
/// are none) can be that.
fn is_suspicious(text: &[u8]) -> bool {
    let suspicious =
        |byte: u8| ((byte < b' ') & (byte != b'\t') & (byte != b'\n')) | (byte == 0xef);
    // All of a chunk, without a branch for each: so they are looked at sixteen at a time.
    text.chunks(CHUNK).any(|chunk| chunk.iter().fold(false, |any, byte| any | suspicious(*byte)))
}

fn marked_utf8(bytes: &[u8]) -> Result<String, Violation> {
    match declared(bytes) {
        None => utf8(bytes),
        Some(name) if name.eq_ignore_ascii_case("utf-8") => utf8(bytes),
        Some(name) => Err(mismatch(&name, "UTF-8 by its byte order mark")),
    }
}

/// Without a byte order mark only the declaration says so, so it must be there.
fn utf16(
    bytes: &[u8],
    encoding: &'static Encoding,
    must_declare: bool,
) -> Result<String, Violation> {
    let text = encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .filter(|_| bytes.len().is_multiple_of(2))
        .ok_or_else(|| broken(format!("the bytes are not {}", encoding.name())))?;
    match declared(text.as_bytes()) {
        None if must_declare => Err(broken("UTF-16 must be declared or marked".to_owned())),
        Some(name) if !name.get(..6).is_some_and(|name| name.eq_ignore_ascii_case("utf-16")) => {
            Err(mismatch(&name, "UTF-16"))
        }
        _ => Ok(text.into_owned()),
    }
}

fn as_declared(bytes: &[u8]) -> Result<String, Violation> {
    let Some(name) = declared(bytes) else { return utf8(bytes) };
    match name.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" | "ascii" => utf8(bytes),
        "iso-8859-1" | "latin1" => Ok(encoding_rs::mem::decode_latin1(bytes).into_owned()),
        "utf-16" | "utf-16le" | "utf-16be" => Err(mismatch(&name, "not UTF-16")),
        _ => Err(Violation::error(
            "",
            "encoding_unknown",
            format!("encoding `{name}` is not supported: UTF-8, UTF-16 or ISO-8859-1"),
        )),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, Violation> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(broken(format!("byte {} is not UTF-8", error.valid_up_to() + 1))),
    }
}

/// The encoding an XML declaration names.
fn declared(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(DECLARATION_BYTES)];
    let inside = head.strip_prefix(b"<?xml")?;
    let end = inside.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(&inside[..end]).ok()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value[1..].split_once(quote).map(|(name, _)| name.to_owned())
}

fn broken(message: String) -> Violation {
    Violation::error("", "encoding_broken", message)
}

fn mismatch(declared: &str, really: &str) -> Violation {
    let message = format!("the document declares {declared}, its bytes are {really}");
    Violation::error("", "encoding_mismatch", message)
}

/// `line 3, column 12`, both counted from 1, in characters.
pub(super) fn place(text: &str, offset: usize) -> String {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    format!("line {line}, column {column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let order = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(order).collect()
    }

    fn read(bytes: &[u8]) -> Result<String, &'static str> {
        decode(bytes, &Limits::default()).map_err(|violation| violation.rule)
    }

    #[test]
    fn text_is_read_as_declared_and_really_so() {
        let sixteen = "<?xml version='1.0' encoding='UTF-16'?><a>Thủ Đức</a>";
        let marked = [&b"\xff\xfe"[..], &utf16(sixteen, false)].concat();
        let latin = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>caf\xe9</a>";
        assert_eq!(read(&marked).as_deref(), Ok(sixteen));
        assert_eq!(read(&utf16(sixteen, true)).as_deref(), Ok(sixteen));
        assert!(read(latin).is_ok_and(|text| text.ends_with("<a>café</a>")));
        assert_eq!(read("\u{feff}<a>ủ\r\n\r</a>".as_bytes()).as_deref(), Ok("<a>ủ\n\n</a>"));
    }

    #[test]
    fn bytes_that_belie_their_declaration_are_refused() {
        let eight = "<?xml version='1.0' encoding='UTF-8'?><a/>";
        let odd = [&b"\xff\xfe"[..], &utf16("<a/>", false), b"x"].concat();
        for (bytes, rule) in [
            (&b""[..], "empty"),
            (b"<?xml version='1.0' encoding='UTF-16'?><a/>", "encoding_mismatch"),
            (&[&b"\xfe\xff"[..], &utf16(eight, true)].concat(), "encoding_mismatch"),
            (b"\xef\xbb\xbf<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "encoding_mismatch"),
            (b"<?xml version='1.0' encoding='EBCDIC'?><a/>", "encoding_unknown"),
            (b"<a>\xff</a>", "encoding_broken"),
            (&odd, "encoding_broken"),
            (b"<a>\x01</a>", "character"),
        ] {
            assert_eq!(read(bytes), Err(rule));
        }
    }
}

//! What both providers' payloads share: the size limit, and cutting words to fit it.

use unicode_normalization::char::is_combining_mark;

/// Largest payload APNs (FACTS A3) and FCM (F4) take, in bytes of JSON.
pub const PAYLOAD_MAX_BYTES: usize = 4096;
/// Ends a text that was cut.
const ELLIPSIS: char = '…';
/// With less room than this a title says nothing and the push is refused.
const TITLE_MIN_BYTES: usize = 32;

/// Why a push cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What surrounds the words leaves no room for a title.
    #[error("the payload leaves {room} bytes for the title, at least {TITLE_MIN_BYTES} are needed")]
    NoRoom {
        /// Bytes left.
        room: usize,
    },
}

/// The words of a push, cut to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The title; cut only if it alone does not fit.
    pub title: String,
    /// The body; cut to what the title leaves.
    pub body: String,
}

/// Cuts title and body so that they take at most `room` bytes inside JSON strings. The title goes
/// first; a cut ends in an ellipsis and falls between what a reader sees as characters.
pub fn fit(title: &str, body: &str, room: usize) -> Result<Words, Error> {
    if room < TITLE_MIN_BYTES.min(json_len(title)) {
        return Err(Error::NoRoom { room });
    }
    let title = cut(title, room);
    let body = cut(body, room - json_len(&title));
    Ok(Words { title, body })
}

/// Bytes of a text inside a JSON string as serde_json writes it.
pub fn json_len(text: &str) -> usize {
    text.chars().map(char_json_len).sum()
}

fn char_json_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\u{0}'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

fn cut(text: &str, room: usize) -> String {
    if json_len(text) <= room {
        return text.to_owned();
    }
    let Some(room) = room.checked_sub(ELLIPSIS.len_utf8()) else { return String::new() };
    let mut taken = 0;
    let mut end = 0;
    let mut previous = None;
    let mut used = 0;
    for (at, c) in text.char_indices() {
        if !continues(previous, c) {
            end = at;
            taken = used;
        }
        used += char_json_len(c);
        if used > room {
            break;
        }
        previous = Some(c);
    }
    debug_assert!(taken <= room);
    let kept = text[..end].trim_end();
    if kept.is_empty() { String::new() } else { format!("{kept}{ELLIPSIS}") }
}

/// Whether a character belongs to the one before it on the screen: tone marks of decomposed
/// Vietnamese, emoji joined or coloured, and the second half of a flag.
fn continues(previous: Option<char>, c: char) -> bool {
    const JOINER: char = '\u{200d}';
    let regional = |c: char| matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
    is_combining_mark(c)
        || matches!(c, JOINER | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
        || previous == Some(JOINER)
        || (regional(c) && previous.is_some_and(regional))
}

/// A push for the payload tests.
#[cfg(test)]
pub fn sample() -> crate::domain::push::PushContent {
    use crate::domain::ids::{ChainId, PublicationId};
    let id = uuid::Uuid::from_u128(0x019a_b7c0_0000_7000_8000_0000_0000_0001);
    crate::domain::push::PushContent {
        publication: PublicationId(id),
        chain: ChainId(id),
        action: crate::domain::publication::Action::Alert,
        lane: crate::domain::lane::Lane::Emergency,
        severity: crate::domain::alert::Severity::Extreme,
        language: "vi".to_owned(),
        title: "Lũ quét tại Côn Đảo".to_owned(),
        body: "Nước dâng nhanh. Di dời ngay đến \"nhà văn hoá\" 🌊".to_owned(),
        loudness: crate::domain::push::Loudness::Critical,
        public: true,
        kind: None,
        exercise: false,
        coarse: true,
        expires: "2026-11-22T12:00:00Z".parse().expect("a literal instant"),
        signature: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_len_is_what_serde_json_writes() {
        let text = "Lũ quét \"khẩn\" \\ \n\r\t\u{8}\u{c}\u{1}\u{7f} 🌊👨‍👩‍👧 e\u{0323}\u{0302}";
        let written = serde_json::to_string(text).unwrap();
        assert_eq!(json_len(text), written.len() - 2);
    }

    #[test]
    fn the_title_goes_first_and_the_body_takes_what_is_left() {
        let words = fit("Lũ quét", "Di dời ngay đến nhà văn hoá", 21).unwrap();
        assert_eq!(words, Words { title: "Lũ quét".into(), body: "Di dời…".into() });
        let whole = fit("Lũ quét", "Di dời", 100).unwrap();
        assert_eq!(whole.body, "Di dời");
        assert_eq!(fit(&"a".repeat(99), "b", 31), Err(Error::NoRoom { room: 31 }));
        let long = fit(&"a".repeat(99), "b", 40).unwrap();
        assert_eq!(long, Words { title: format!("{}…", "a".repeat(37)), body: String::new() });
    }

    #[test]
    fn every_room_is_kept_to_and_no_character_is_torn() {
        let family = "👨‍👩‍👧";
        let text = format!("Ngập \"sâu\" {family} tie\u{0302}\u{0301}ng 👍🏽 🇻🇳🇻🇳\n hết");
        for room in 0..=json_len(&text) {
            let cut = cut(&text, room);
            assert!(json_len(&cut) <= room, "{room}: {cut:?}");
            let kept = cut.trim_end_matches(ELLIPSIS);
            assert!(text.starts_with(kept), "{room}: {cut:?}");
            let rest = text[kept.len()..].chars().next();
            let torn = rest.is_some_and(|c| !kept.is_empty() && continues(kept.chars().last(), c));
            assert!(!torn || kept.ends_with("🇻🇳"), "{room}: {cut:?}");
            assert!(!kept.ends_with('\u{200d}'), "{room}: {cut:?}");
        }
        assert_eq!(cut(&text, json_len(&text)), text);
    }
}

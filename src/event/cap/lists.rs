//! CAP's lists in one element: items parted by blanks, quoted where they hold blanks themselves.

use super::tree::is_blank;

/// Why a text is no such list.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum ListError {
    #[error("a quote is opened and never closed")]
    Unbalanced,
    #[error("a quote stands inside an item")]
    Inside,
}

/// The items of `addresses` or `incidents`.
pub(super) fn split(text: &str) -> Result<Vec<String>, ListError> {
    let mut items = Vec::new();
    let mut rest = text.trim_matches(is_blank);
    while !rest.is_empty() {
        let (item, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or(ListError::Unbalanced)?,
            None => rest.split_at(rest.find(is_blank).unwrap_or(rest.len())),
        };
        if item.contains('"') || !(after.is_empty() || after.starts_with(is_blank)) {
            return Err(ListError::Inside);
        }
        items.push(item.to_owned());
        rest = after.trim_start_matches(is_blank);
    }
    Ok(items)
}

/// The items as one text; items must not hold quotes (a rule of the model).
pub(super) fn join(items: &[String]) -> String {
    let quoted: Vec<_> = items
        .iter()
        .map(|item| {
            if item.is_empty() || item.contains(is_blank) {
                format!("\"{item}\"")
            } else {
                item.clone()
            }
        })
        .collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_items_keep_their_blanks_both_ways() {
        let items = ["1022@hcm.vn", "Ban Chỉ huy", ""].map(str::to_owned).to_vec();
        let text = "1022@hcm.vn \"Ban Chỉ huy\" \"\"";
        assert_eq!(split(&format!("\n {text}\t")), Ok(items.clone()));
        assert_eq!(join(&items), text);
        assert_eq!(split(" \n"), Ok(vec![]));
    }

    #[test]
    fn quotes_that_do_not_pair_are_refused() {
        assert_eq!(split("a \"b c"), Err(ListError::Unbalanced));
        assert_eq!(split("a\"b\""), Err(ListError::Inside));
        assert_eq!(split("\"a\"b"), Err(ListError::Inside));
    }
}

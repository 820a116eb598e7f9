//! What one call may hold, and what a group may be called: the same in both shapes.

use crate::bus::{
    CALL_BYTES_MAX, CALL_RECORDS_MAX, Error, RECORD_BYTES_MAX, Record, Result, TopicId,
};

/// What a group's name may be at most.
const GROUP_CHARS_MAX: usize = 64;

/// Checks one call's records, and answers their bytes.
pub(super) fn check_records(topic: TopicId, records: &[Record]) -> Result<usize> {
    if records.len() > CALL_RECORDS_MAX {
        let (given, limit) = (records.len(), CALL_RECORDS_MAX);
        return Err(Error::CallTooLarge { topic, what: "records", given, limit });
    }
    let mut total = 0;
    for record in records {
        let bytes = record.size();
        if bytes > RECORD_BYTES_MAX {
            return Err(Error::RecordTooLarge { topic, bytes, limit: RECORD_BYTES_MAX });
        }
        total += bytes;
    }
    if total > CALL_BYTES_MAX {
        let limit = CALL_BYTES_MAX;
        return Err(Error::CallTooLarge { topic, what: "bytes", given: total, limit });
    }
    Ok(total)
}

/// Checks a group's name.
pub(super) fn check_group(group: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if group.is_empty() || group.len() > GROUP_CHARS_MAX || !group.chars().all(fits) {
        return Err(Error::GroupName(group.chars().take(GROUP_CHARS_MAX).collect()));
    }
    Ok(())
}

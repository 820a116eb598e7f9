//! CAP's dateTime: `YYYY-MM-DDThh:mm:ss±hh:mm`, an instant with the offset it was written in.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

/// A CAP 1.2 dateTime. Two are equal when they are the same instant, whatever their offsets.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CapTime {
    instant: Timestamp,
    offset_minutes: i16,
}

/// Why a text is not a CAP 1.2 dateTime.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{given}` is not a CAP time: {rule}")]
pub struct TimeError {
    /// What was given, cut to 40 characters.
    pub given: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl CapTime {
    /// An instant written in an offset of whole minutes east of UTC.
    pub fn new(instant: Timestamp, offset_minutes: i16) -> Self {
        Self { instant, offset_minutes }
    }

    /// The instant.
    pub fn instant(self) -> Timestamp {
        self.instant
    }

    /// The offset it is written in, in minutes east of UTC.
    pub fn offset_minutes(self) -> i16 {
        self.offset_minutes
    }
}

impl PartialEq for CapTime {
    fn eq(&self, other: &Self) -> bool {
        self.instant == other.instant
    }
}

impl Eq for CapTime {}

impl FromStr for CapTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let fail = |rule| TimeError { given: text.chars().take(40).collect(), rule };
        let shape = b"dddd-dd-ddTdd:dd:dd+dd:dd";
        let bytes = text.as_bytes();
        let fits = bytes.len() == shape.len()
            && bytes.iter().zip(shape).all(|(&byte, &want)| match want {
                b'd' => byte.is_ascii_digit(),
                b'+' => byte == b'+' || byte == b'-',
                other => byte == other,
            });
        if !fits {
            return Err(fail(
                "the form is YYYY-MM-DDThh:mm:ss±hh:mm, without fractions and without Z",
            ));
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().fold(0i16, |sum, byte| sum * 10 + i16::from(byte - b'0'))
        };
        let date = Date::new(number(0, 4), number(5, 7) as i8, number(8, 10) as i8)
            .map_err(|_| fail("no such day"))?;
        let time = Time::new(number(11, 13) as i8, number(14, 16) as i8, number(17, 19) as i8, 0)
            .map_err(|_| fail("no such time of day"))?;
        let minutes = number(20, 22) * 60 + number(23, 25);
        if number(23, 25) > 59 || minutes > 14 * 60 {
            return Err(fail("the offset is at most 14:00"));
        }
        let offset_minutes = if bytes[19] == b'-' { -minutes } else { minutes };
        let offset = Offset::from_seconds(i32::from(offset_minutes) * 60)
            .map_err(|_| fail("the offset is at most 14:00"))?;
        let instant = TimeZone::fixed(offset)
            .to_timestamp(DateTime::from_parts(date, time))
            .map_err(|_| fail("out of range"))?;
        Ok(Self { instant, offset_minutes })
    }
}

impl fmt::Display for CapTime {
    /// UTC is written `-00:00`, as CAP 1.2 demands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset =
            Offset::from_seconds(i32::from(self.offset_minutes) * 60).unwrap_or(Offset::UTC);
        let local = offset.to_datetime(self.instant);
        let sign = if self.offset_minutes > 0 { '+' } else { '-' };
        let minutes = self.offset_minutes.unsigned_abs();
        write!(
            f,
            "{}{sign}{:02}:{:02}",
            local.strftime("%Y-%m-%dT%H:%M:%S"),
            minutes / 60,
            minutes % 60
        )
    }
}

impl TryFrom<String> for CapTime {
    type Error = TimeError;

    fn try_from(text: String) -> Result<Self, TimeError> {
        text.parse()
    }
}

impl From<CapTime> for String {
    fn from(time: CapTime) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_offsets() {
        let hanoi: CapTime = "2026-08-01T16:30:00+07:00".parse().expect("a CAP time");
        assert_eq!(hanoi.to_string(), "2026-08-01T16:30:00+07:00");
        let utc: CapTime = "2026-08-01T09:30:00+00:00".parse().expect("a CAP time");
        assert_eq!(hanoi, utc);
        assert_eq!(utc.to_string(), "2026-08-01T09:30:00-00:00");
    }

    #[test]
    fn refuses_what_the_standard_refuses() {
        for bad in [
            "2026-08-01T16:30:00Z",
            "2026-08-01T16:30:00.5+07:00",
            "2026-08-01 16:30:00+07:00",
            "2026-02-30T16:30:00+07:00",
            "2026-08-01T24:00:00+07:00",
            "2026-08-01T16:30:00,07:00",
            "2026-08-01T16:30:00+15:00",
            "",
        ] {
            assert!(bad.parse::<CapTime>().is_err(), "{bad}");
        }
    }
}

//! What a stream keeps of its device: as much as it takes to judge a publication, in few pieces of
//! memory. A node holds a hundred thousand of them, and an alert asks each one.

use std::ops::Deref;

use crate::domain::channel::Channel;
use crate::domain::device::{Device, Permission, Place, Profile};
use crate::domain::ids::{DeviceId, DeviceNum};
use crate::gateway::entry::Entry;

/// A device, to its stream.
#[derive(Debug)]
pub struct Watcher {
    /// Its id.
    pub id: DeviceId,
    /// Its number in the registry.
    pub num: DeviceNum,
    /// The channel it counts under.
    pub channel: Channel,
    /// Takes part in exercises.
    pub exercises: bool,
    /// Where it wants to be warned for, in its own order.
    pub places: Places,
    /// What it reads.
    pub reads: Tongues,
    /// Its profile, if that mutes or quietens anything; few do.
    restrained: Option<Box<Profile>>,
}

/// Places, in a device's own order. Nearly all devices have one, which lies here and not in another
/// piece of memory.
#[derive(Debug)]
pub enum Places {
    /// One.
    One(Place),
    /// None, or several.
    Several(Box<[Place]>),
}

/// The languages somebody reads: their tags, with commas between. One or two lie here and not in
/// another piece of memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Tongues {
    /// So many bytes of these.
    Few(u8, [u8; FEW_BYTES]),
    /// More than fit there.
    Many(Box<str>),
}

const FEW_BYTES: usize = 14;

impl Watcher {
    /// What is kept of a device.
    pub fn of(device: &Device) -> Self {
        let profile = &device.profile;
        let is_restrained = !profile.muted.is_empty() || profile.quiet_hours.is_some();
        Self {
            id: device.id,
            num: device.num,
            channel: profile.address.channel(),
            exercises: profile.exercises,
            places: Places::of(&profile.places),
            reads: Tongues::of(&profile.languages),
            restrained: is_restrained.then(|| Box::new(profile.clone())),
        }
    }

    /// As [`Profile::permission`].
    pub fn permission(&self, entry: &Entry, minute: u16) -> Permission {
        self.restrained.as_ref().map_or(Permission::Loud, |profile| {
            let lane = entry.publication.lane;
            profile.permission(lane, entry.severity, &entry.interests, minute)
        })
    }
}

impl Places {
    fn of(places: &[Place]) -> Self {
        match places {
            [one] => Self::One(one.clone()),
            several => Self::Several(several.into()),
        }
    }
}

impl Deref for Places {
    type Target = [Place];

    fn deref(&self) -> &[Place] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::Several(places) => places,
        }
    }
}

impl Tongues {
    /// Of BCP 47 tags, none of which has a comma.
    pub fn of(tags: &[String]) -> Self {
        let tags = tags.join(",");
        let mut few = [0; FEW_BYTES];
        match few.get_mut(..tags.len()) {
            Some(here) => {
                here.copy_from_slice(tags.as_bytes());
                Self::Few(tags.len() as u8, few)
            }
            None => Self::Many(tags.into()),
        }
    }

    /// The tags.
    pub fn tags(&self) -> impl Iterator<Item = &str> + Clone {
        let tags = match self {
            Self::Few(length, tags) => std::str::from_utf8(&tags[..usize::from(*length)]),
            Self::Many(tags) => Ok(&**tags),
        };
        tags.expect("it was made of a text").split(',')
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::device::{Interest, QuietHours};
    use crate::gateway::fixture::{alert, device};

    #[test]
    fn it_permits_what_the_profile_permits() {
        let publication = Arc::new(alert(1, 0, &["1"]));
        let entry = Entry::new(1, None, Arc::clone(&publication), vec![]);
        let mut devices = [device(&["1"]), device(&["1"]), device(&["1"])];
        devices[1].profile.quiet_hours = Some(QuietHours { from_minute: 1_320, to_minute: 360 });
        devices[2].profile.muted = entry.interests.iter().copied().collect();
        assert!(matches!(entry.interests[..], [Interest::Alert(_), ..]));
        for device in devices {
            for minute in [0, 720] {
                let (lane, severity) = (publication.lane, entry.severity);
                let wanted = device.profile.permission(lane, severity, &entry.interests, minute);
                assert_eq!(Watcher::of(&device).permission(&entry, minute), wanted);
            }
        }
    }

    #[test]
    fn tongues_are_the_tags() {
        for tags in [&["vi", "en-GB"][..], &["zh-Hant-TW", "km", "vi"], &["abcdef", "abcdefg"]] {
            let owned: Vec<String> = tags.iter().map(ToString::to_string).collect();
            assert_eq!(Tongues::of(&owned).tags().collect::<Vec<_>>(), tags);
        }
    }
}

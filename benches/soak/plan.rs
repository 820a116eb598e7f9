//! What a run is: how long, how many devices, and what follows from both. Every process of the run
//! reads it from the same environment, so that all know the same people.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::SignedDuration;
use loa::geofence::City;
use loa::simulator::citizens::{Mix, Population};
use url::Url;

/// The soak that the issue asks for.
const MINUTES: f64 = 30.0;
const DEVICES: u32 = 20_000;
/// Devices that may come beside those of the beginning: three a second for two hours.
const SPARE: u32 = 22_000;
/// One in so many of the first devices comes, moves and goes; the others stay, and must get
/// everything that is for them exactly once.
const CHURNING: u32 = 10;
/// One in so many of those that stay is a citizen's, who is told of status changes.
const CITIZENS: u32 = 40;
/// Turns, calm ones and faulty ones, in a third of a run.
pub const TURNS: u32 = 10;

/// A run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    minutes: f64,
    /// Devices at the beginning.
    pub devices: u32,
}

impl Plan {
    /// As the environment says.
    pub fn of_environment() -> Result<Self> {
        let minutes = match std::env::var("LOA_SOAK_MINUTES") {
            Ok(minutes) => minutes.parse().context("LOA_SOAK_MINUTES")?,
            Err(_) => MINUTES,
        };
        let devices = match std::env::var("LOA_SOAK_DEVICES") {
            Ok(devices) => devices.parse().context("LOA_SOAK_DEVICES")?,
            Err(_) => DEVICES,
        };
        anyhow::ensure!(minutes >= 2.0, "LOA_SOAK_MINUTES: 2 or more");
        anyhow::ensure!(devices >= 1_000, "LOA_SOAK_DEVICES: 1000 or more");
        Ok(Self { minutes, devices })
    }

    /// The time under load.
    pub fn load(self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    /// Warm-up, and each of the two parts that are compared.
    pub fn third(self) -> Duration {
        self.load() / 3
    }

    /// One calm or faulty while.
    pub fn turn(self) -> Duration {
        self.third() / TURNS
    }

    /// How long an alert lives: what is kept for it must have gone well before the warm-up ends.
    /// News and status changes must outlive the emergencies of this pace, which hold them up for a
    /// minute at a stretch (`fanout::gate`).
    pub fn life(self) -> Duration {
        (self.load() / 10).clamp(Duration::from_secs(120), Duration::from_secs(180))
    }

    /// How long what is over is kept.
    pub fn keep(self) -> Duration {
        self.life() / 3
    }

    /// How often the node tidies up.
    pub fn tidy(self) -> Duration {
        self.life() / 12
    }

    /// Everything of the load is over and dropped so long after its end.
    pub fn rest(self) -> Duration {
        self.life() + 3 * self.keep() + 2 * self.tidy()
    }

    /// The devices that stay are those below.
    pub fn stable(self) -> u32 {
        self.devices - self.devices / CHURNING
    }

    /// Whether a device is a citizen's, who is told of status changes.
    pub fn is_citizens(self, device: u32) -> bool {
        device < self.stable() && device.is_multiple_of(CITIZENS)
    }

    /// Everyone who is or will be there.
    pub fn people(self, city: &City, webpush: &Url) -> Population {
        let mix = Mix { apns: 400, fcm: 470, ..Mix::default() };
        let size = self.devices + SPARE;
        Population::new(city, size, (5, mix)).with_webpush(70, webpush)
    }
}

/// As `jiff` has it.
pub fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).expect("hours at most")
}

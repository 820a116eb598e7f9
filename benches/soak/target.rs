//! Whom a publication is for: units, a drawn square, or everybody; as CAP and as a notice write it,
//! and who of those that stay must get it, worked out as a node does.

use anyhow::{Context, Result};
use loa::domain::channel::Channel;
use loa::domain::device::Place;
use loa::domain::geo::{LatLon, Ring};
use loa::domain::ids::UnitCode;
use loa::domain::notice::AreaTarget;
use loa::geofence::{City, MatchSettings, Target};
use loa::simulator::citizens::Population;
use rand::RngExt;
use roaring::RoaringBitmap;
use serde_json::{Value, json};

use crate::plan::Plan;
use crate::tally::print;

/// Half a drawn square's side, in degrees: one to three kilometres.
const HALF: std::ops::Range<f64> = 0.01..0.03;

/// Who must get a publication, of those that stay.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// By push.
    pub pushed: Set,
    /// Over a stream.
    pub streamed: Set,
}

/// Some devices.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set {
    /// How many.
    pub devices: u64,
    /// Which.
    pub print: u64,
}

impl From<RoaringBitmap> for Set {
    fn from(devices: RoaringBitmap) -> Self {
        Self { devices: devices.len(), print: print(&devices) }
    }
}

/// The city and those that stay in it.
pub struct Town {
    city: City,
    residents: Vec<(Channel, Vec<Place>)>,
    settings: MatchSettings,
}

impl Town {
    /// The town of a plan.
    pub fn new(city: City, people: &Population, plan: Plan) -> Self {
        let resident = |device| (people.citizen(device).channel, people.device(device).profile);
        let resident = |device| {
            let (channel, profile) = resident(device);
            (channel, profile.places)
        };
        let residents = (0..plan.stable()).map(resident).collect();
        Self { city, residents, settings: MatchSettings::default() }
    }

    /// Those that are reached over a stream.
    pub fn with_streams(&self) -> Vec<u32> {
        let all = (0..).zip(&self.residents);
        all.filter(|(_, one)| one.0 == Channel::Websocket).map(|(device, _)| device).collect()
    }

    /// Everybody.
    pub fn everybody(&self) -> AreaTarget {
        let units = self.city.units().iter().map(|unit| unit.code.clone()).collect();
        AreaTarget { units, ..AreaTarget::default() }
    }

    /// One to three units.
    pub fn some_units(&self) -> AreaTarget {
        let mut random = rand::rng();
        let count = random.random_range(1..=3);
        let units = (0..count).map(|_| self.any_unit(&mut random)).collect();
        AreaTarget { units, ..AreaTarget::default() }
    }

    /// A unit.
    pub fn any_unit(&self, random: &mut impl RngExt) -> UnitCode {
        let units = self.city.units();
        units[random.random_range(0..units.len())].code.clone()
    }

    /// A square somewhere.
    pub fn a_square(&self) -> Result<AreaTarget> {
        let mut random = rand::rng();
        let code = self.any_unit(&mut random);
        let centre = self.city.unit(&code).context("a unit of the city")?.centre;
        let (lat, lon, half) = (centre.lat(), centre.lon(), random.random_range(HALF));
        let corners = [(-1.0, -1.0), (-1.0, 1.0), (1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)];
        let point = |(north, east): (f64, f64)| LatLon::new(lat + north * half, lon + east * half);
        let ring = Ring::new(corners.into_iter().map(point).collect::<Result<_, _>>()?)?;
        Ok(AreaTarget { polygons: vec![ring], ..AreaTarget::default() })
    }

    /// Who must get what is for there.
    pub fn expected(&self, area: &AreaTarget) -> Result<Expected> {
        let audience = self.city.match_target(&Target::from(area), &self.settings)?.audience;
        let (mut pushed, mut streamed) = (RoaringBitmap::new(), RoaringBitmap::new());
        for (device, (channel, places)) in (0..).zip(&self.residents) {
            if audience.owner(places).is_some() {
                let set = if *channel == Channel::Websocket { &mut streamed } else { &mut pushed };
                set.insert(device);
            }
        }
        Ok(Expected { pushed: pushed.into(), streamed: streamed.into() })
    }

    /// Whether a device is reached by push.
    pub fn is_pushed(&self, device: u32) -> bool {
        self.residents[device as usize].0 != Channel::Websocket
    }

    /// What is for the citizen of a device that is reached by push.
    pub fn expected_of(device: u32) -> Expected {
        let pushed = RoaringBitmap::from_iter([device]).into();
        Expected { pushed, streamed: Set::default() }
    }
}

/// As CAP writes it.
pub fn cap_area(area: &AreaTarget) -> Value {
    let code = |unit: &UnitCode| json!({"name": "loa:unit", "value": unit});
    let geocodes: Vec<_> = area.units.iter().map(code).collect();
    json!({"description": "Thành phố", "polygons": area.polygons, "geocodes": geocodes})
}

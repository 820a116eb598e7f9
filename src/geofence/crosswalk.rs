//! Which present units an older vintage's unit became.
//!
//! 167 codes of before July 2025 are reused for another unit after it, so a code is looked up in
//! its vintage and nowhere else. 47 old units of the city were split; no source gives the share of
//! a split, so such a code means every unit that took part of it: warned too widely, never missed.

use std::collections::BTreeMap;

use crate::domain::ids::{UnitCode, Vintage};

/// An old unit and what it became.
#[derive(Clone, Debug, PartialEq)]
pub struct OldUnit {
    /// Its name, kind included.
    pub name: String,
    /// The district it was in.
    pub district: String,
    /// The province it was in.
    pub province: String,
    /// The present units that hold it; more than one when it was split.
    pub became: Vec<UnitCode>,
}

/// Old units by vintage and code.
#[derive(Clone, Debug, Default)]
pub struct Crosswalk {
    units: BTreeMap<Vintage, BTreeMap<UnitCode, OldUnit>>,
}

impl Crosswalk {
    /// Reads `vintage,code,name,district,province,new_code,split` with a header line.
    pub fn from_csv(text: &str) -> Result<Self, String> {
        let mut crosswalk = Self::default();
        for line in text.lines().skip(1) {
            let columns: Vec<&str> = line.split(',').collect();
            let [vintage, code, name, district, province, new_code, _split] = columns[..] else {
                return Err(format!("`{line}` has not 7 columns"));
            };
            let fail = |error: crate::domain::ids::IdError| format!("`{line}`: {error}");
            let old = crosswalk
                .units
                .entry(vintage.parse().map_err(fail)?)
                .or_default()
                .entry(code.parse().map_err(fail)?)
                .or_insert_with(|| OldUnit {
                    name: name.to_owned(),
                    district: district.to_owned(),
                    province: province.to_owned(),
                    became: Vec::new(),
                });
            old.became.push(new_code.parse().map_err(fail)?);
        }
        Ok(crosswalk)
    }

    /// The vintages it knows, oldest first.
    pub fn vintages(&self) -> impl Iterator<Item = &Vintage> {
        self.units.keys()
    }

    /// The units of a vintage; None when it is unknown.
    pub fn of(&self, vintage: &Vintage) -> Option<&BTreeMap<UnitCode, OldUnit>> {
        self.units.get(vintage)
    }
}

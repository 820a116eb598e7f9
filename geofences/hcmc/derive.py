#!/usr/bin/env python3
"""Derives units.csv and crosswalk.csv from the PyPI package vietnamadminunits 1.0.4 (MIT).

    pip install vietnamadminunits==1.0.4
    python3 geofences/hcmc/derive.py

Writes next to itself; the output is committed, so nobody needs Python to build or run.
"""

import csv
import json
import sqlite3
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

WANTED = "1.0.4"
CITY = "thanhphohochiminh"
OLD_PROVINCES = ("thanhphohochiminh", "tinhbinhduong", "tinhbariavungtau")
OLD_VINTAGE = "2025-06"
HERE = Path(__file__).parent


def package_data():
    """The folder of the installed package's data; refuses any other release."""
    if version("vietnamadminunits") != WANTED:
        raise SystemExit(f"needs vietnamadminunits=={WANTED}")
    return Path(find_spec("vietnamadminunits").origin).parent / "data"


def write(name, header, rows):
    with open(HERE / name, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    print(f"{name}: {len(rows)} rows")


def main():
    data = package_data()
    db = sqlite3.connect(data / "dataset.db")
    new = db.execute(
        "SELECT wardKey, wardCode, ward, wardType, wardAreaKm2, wardLat, wardLon"
        " FROM admin_units WHERE provinceKey = ? ORDER BY wardCode",
        (CITY,),
    ).fetchall()
    write(
        "units.csv",
        ["code", "name", "kind", "area_km2", "lat", "lon"],
        [row[1:] for row in new],
    )

    code_of = {row[0]: row[1] for row in new}
    old = db.execute(
        "SELECT provinceKey || '_' || coalesce(districtKey, '') || '_' || coalesce(wardKey, ''),"
        " wardCode, ward, district, districtCode, province FROM admin_units_legacy"
        " WHERE provinceKey IN (?, ?, ?)",
        OLD_PROVINCES,
    ).fetchall()
    converter = json.loads((data / "converter_2025.json").read_text(encoding="utf-8"))
    moved = {}
    for key, origins in converter["DICT_PROVINCE_WARD_NO_DIVIDED"][CITY].items():
        for origin in origins:
            moved.setdefault(origin, []).append(code_of[key])
    for origin, parts in converter["DICT_PROVINCE_WARD_DIVIDED"][CITY].items():
        moved.setdefault(origin, []).extend(code_of[part["newWardKey"]] for part in parts)

    rows = []
    for key, code, name, district, district_code, province in old:
        # Côn Đảo had no communes: the district itself, under its own code.
        code, name = code or district_code, name or district
        targets = sorted(set(moved.pop(key)))
        split = "yes" if len(targets) > 1 else "no"
        rows += [(OLD_VINTAGE, code, name, district, province, new, split) for new in targets]
    assert not moved, f"in the converter, not among the old units: {sorted(moved)}"
    write(
        "crosswalk.csv",
        ["vintage", "code", "name", "district", "province", "new_code", "split"],
        sorted(rows, key=lambda row: (row[1], row[5])),
    )


if __name__ == "__main__":
    main()

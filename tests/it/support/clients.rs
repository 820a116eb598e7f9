//! Clients in other languages: what npm carries of them, from the lock file, never committed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

/// The folder that holds an npm package of `tests/it/clients`. `make test` installs them and says
/// where; otherwise they are installed once below the target directory.
pub async fn npm_package(name: &str) -> PathBuf {
    static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
    let given = std::env::var_os("LOA_CLIENTS").map(|at| Path::new(&at).join("node_modules"));
    let all = match given.filter(|all| all.join(name).is_dir()) {
        Some(all) => all,
        None => INSTALLED.get_or_init(install).await.clone(),
    };
    all.join(name)
}

async fn install() -> PathBuf {
    let lists = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let lock = std::fs::read(lists.join("package-lock.json")).expect("a lock file");
    let all = target.join("node_modules");
    if std::fs::read(target.join("installed")).is_ok_and(|installed| installed == lock) {
        return all;
    }
    std::fs::create_dir_all(&target).expect("a directory");
    for list in ["package.json", "package-lock.json"] {
        std::fs::copy(lists.join(list), target.join(list)).expect("copied");
    }
    let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    let installed =
        Command::new("npm").args(npm).current_dir(&target).stdout(Stdio::null()).status().await;
    let installed = installed.expect("npm is needed for this test");
    assert!(installed.success(), "npm could not install the tests' clients");
    std::fs::write(target.join("installed"), lock).expect("written");
    all
}

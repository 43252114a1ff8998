//! The reference material that is shared beside the checkout, for tests that can use it.

use std::{env, path::PathBuf};

/// The file or folder `path` of the shared material: in `DRYBURN_SHARED`, or else in `../shared` beside the checkout.
///
/// `None` where there is none; the test then has nothing to compare and says so.
///
/// # Panics
/// When the material is not there though `CI` or `DRYBURN_REQUIRE_SHARED` is set, and when it is there without `path`.
pub fn shared(path: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = env::var_os("DRYBURN_SHARED").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        let required = ["CI", "DRYBURN_REQUIRE_SHARED"].into_iter().find(|name| env::var_os(name).is_some());
        assert_eq!(required, None, "{}: no such folder: set DRYBURN_SHARED", folder.display());
        println!("skipped: shared material is not here");
        return None;
    }
    let wanted = folder.join(path);
    assert!(wanted.exists(), "{}: not in the shared material", wanted.display());
    Some(wanted)
}

//! What writes the frames and judges what arrives shares no line with what reads them in the filter.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// All that `package` is built of, whatever for and however far away, as `Cargo.lock` tells it.
fn built_of(package: &str) -> Result<BTreeSet<String>> {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"))?;
    let mut needs = BTreeMap::<&str, Vec<&str>>::new();
    for entry in lock.split("[[package]]").skip(1) {
        // A name is the first thing between quotes; of several versions, all count.
        let mut words = entry.lines().filter_map(|line| line.split('"').nth(1));
        let name = words.next().context("a package without a name")?;
        let needed = entry.split_once("dependencies = [").map_or("", |(_, rest)| rest);
        let needed = needed.lines().filter_map(|line| line.split('"').nth(1)?.split(' ').next());
        needs.entry(name).or_default().extend(needed);
    }
    let mut found = BTreeSet::new();
    let mut left = vec![package];
    while let Some(package) = left.pop() {
        if found.insert(package.to_owned()) {
            left.extend(&needs[package]);
        }
    }
    Ok(found)
}

/// The project's own packages.
fn is_ours(package: &str) -> bool {
    package.starts_with("sg-")
}

#[test]
fn nothing_of_the_filter_is_in_it() {
    let packages = built_of("sg-receiver").unwrap();
    let ours: Vec<_> = packages.iter().filter(|package| is_ours(package)).collect();
    assert_eq!(ours, ["sg-receiver"]);
    // Nor a reader of packets that somebody else wrote, or the kernel's own programs.
    for other in ["etherparse", "aya"] {
        assert!(!packages.contains(other), "{other}");
    }
}

#[test]
fn what_is_built_of_the_filter_is_seen_to_be() {
    let packages = built_of("sg-tests").unwrap();
    assert!(packages.contains("sg-common") && packages.contains("sg-kernel"), "{packages:?}");
}

#[test]
fn no_file_of_the_filter_is_included() {
    let mut includes = Vec::new();
    for file in files(env!("CARGO_MANIFEST_DIR").as_ref()).unwrap() {
        let text = fs::read_to_string(&file).unwrap();
        let paths = text.lines().filter(|line| {
            let line = line.trim_start();
            line.starts_with("#[path") || line.contains("include!(") || line.contains("include_str!(")
        });
        includes.extend(paths.map(|line| (file.clone(), line.trim().to_owned())));
    }
    includes.retain(|(file, _)| !file.ends_with("independence.rs"));
    assert!(!includes.is_empty(), "the lab is included");
    for (file, line) in includes {
        assert!(line.starts_with("#[path = \"../../src/lab/"), "{}: {line}", file.display());
    }
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

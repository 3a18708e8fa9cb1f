//! Files, pipes, and other kinds of files.

use std::{fs, io::Write, path::Path};

use super::super::{MAX_BYTES, load};

/// Loads a file that must be refused, and returns the message.
fn refused(path: &Path) -> String {
    load(path).map_or_else(|error| error.to_string(), |loaded| panic!("{loaded:?}"))
}

#[test]
fn every_example_is_a_policy_without_warnings() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let loaded = load(&entry.unwrap().path()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.warnings, []);
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().display();
    let message = refused(&directory.path().join("absent.yaml"));
    assert_eq!(message, format!("{at}/absent.yaml: cannot be read: No such file or directory (os error 2)"));
    assert_eq!(refused(directory.path()), format!("{at}: is a directory: name the policy file in it"));
}

#[test]
fn a_huge_file_is_refused_unread() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Sparse: it takes no space and no time.
    file.as_file().set_len(200_000_000).unwrap();
    let message = refused(file.path());
    let wanted = format!("holds 200000000 bytes: a policy document holds at most {MAX_BYTES}");
    assert!(message.ends_with(&wanted), "{message}");
}

#[test]
fn what_never_ends_is_given_up_at_the_limit() {
    let message = refused(Path::new("/dev/zero"));
    assert_eq!(
        message,
        format!("/dev/zero: holds more than {MAX_BYTES} bytes: a policy document holds at most {MAX_BYTES}")
    );
}

#[test]
fn a_file_is_named_in_its_errors() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"group: {}").unwrap();
    let message = refused(file.path());
    assert!(message.starts_with(&format!("{}:1:1: group: unknown key", file.path().display())), "{message}");
}

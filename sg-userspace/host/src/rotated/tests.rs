//! Rotation, repair and refusals, in a directory of the test's own.

use std::{
    fs::{self, File, Permissions},
    io::BufRead as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::{RotatedError, RotatedFile, Rotation, files, open_for_reading};

const SMALL: Rotation = Rotation { max_bytes: 100, max_age: None, keep: 3 };

/// All lines over all files, the oldest first.
fn lines(path: &Path) -> Vec<String> {
    let files = files(path).unwrap();
    files.iter().flat_map(|file| open_for_reading(file).unwrap().lines().map(Result::unwrap)).collect()
}

/// Appends, and waits for a compression: it would delay the next rotation.
fn append(file: &mut RotatedFile, line: &str) {
    file.append(line.as_bytes()).unwrap();
    if let Some(thread) = file.compression.take() {
        thread.join().unwrap();
    }
}

#[test]
fn full_files_are_compressed_and_the_oldest_removed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let mut file = RotatedFile::open(&path, SMALL).unwrap();
    for number in 0..20 {
        append(&mut file, &format!("{number:029}\n"));
    }
    drop(file);
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["log", "log.1.gz", "log.2.gz", "log.3.gz"]);
    for name in &names {
        assert_eq!(fs::metadata(folder.path().join(name)).unwrap().mode() & 0o777, 0o600, "{name:?}");
    }
    let expected: Vec<_> = (9..20).map(|number| format!("{number:029}")).collect();
    assert_eq!(lines(&path), expected, "3 files of 3 lines, and 2 lines in the newest");
}

#[test]
fn an_old_file_is_rotated_and_keeping_none_begins_anew() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let rotation = Rotation { max_bytes: u64::MAX, max_age: Some(Duration::from_millis(50)), keep: 0 };
    let mut file = RotatedFile::open(&path, rotation).unwrap();
    append(&mut file, "one\n");
    thread::sleep(Duration::from_millis(60));
    append(&mut file, "two\n");
    assert_eq!(lines(&path), ["two"]);
}

#[test]
fn fewer_are_kept_from_then_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    for number in [1, 2, 7] {
        fs::write(folder.path().join(format!("log.{number}")), "old\n").unwrap();
    }
    let others = ["log.01", "log.1.txt", "log.20261130", "log.2026.gz", "log.x", "logs.1"];
    for other in others {
        fs::write(folder.path().join(other), "not ours\n").unwrap();
    }
    let mut file = RotatedFile::open(&path, Rotation { keep: 2, ..SMALL }).unwrap();
    append(&mut file, &"a".repeat(99));
    append(&mut file, &"b".repeat(99));
    drop(file);
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut expected = [&["log", "log.1.gz", "log.2"], &others[..]].concat();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn what_is_no_file_keeps_its_place() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    fs::create_dir_all(folder.path().join("log.1/full")).unwrap();
    fs::create_dir_all(folder.path().join("log.3.gz/full")).unwrap();
    symlink("elsewhere", folder.path().join("log.9")).unwrap();
    let mut file = RotatedFile::open(&path, Rotation { keep: 4, ..SMALL }).unwrap();
    for letter in ["a", "b", "c"] {
        append(&mut file, &(letter.repeat(98) + "\n"));
    }
    drop(file);
    assert_eq!(lines(&path), ["a".repeat(98), "b".repeat(98), "c".repeat(98)]);
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["log", "log.1", "log.2.gz", "log.3.gz", "log.4.gz", "log.9"]);
}

#[test]
fn a_file_that_was_moved_or_emptied_is_written_anew() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let mut file = RotatedFile::open(&path, SMALL).unwrap();
    append(&mut file, "one\n");
    fs::rename(&path, folder.path().join("moved")).unwrap();
    append(&mut file, "two\n");
    assert_eq!(lines(&path), ["two"]);
    File::create(&path).unwrap();
    append(&mut file, "three\n");
    assert_eq!(lines(&path), ["three"]);
    fs::remove_file(&path).unwrap();
    append(&mut file, "four\n");
    assert_eq!(lines(&path), ["four"]);
}

#[test]
fn a_line_that_a_kill_left_unfinished_is_ended() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, "one\ntw").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let mut file = RotatedFile::open(&path, SMALL).unwrap();
    append(&mut file, "three\n");
    assert_eq!(lines(&path), ["one", "tw", "three"]);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640, "as the administrator set it");
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let (link, pipe) = (folder.path().join("link"), folder.path().join("pipe"));
    fs::write(folder.path().join("secret"), "").unwrap();
    symlink(folder.path().join("secret"), &link).unwrap();
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [link, pipe] {
        let error = RotatedFile::open(&path, SMALL).unwrap_err();
        assert!(matches!(error, RotatedError::NotAFile { .. }), "{error}");
    }
    let error = RotatedFile::open(folder.path().join("missing/log"), SMALL).unwrap_err();
    assert!(error.to_string().starts_with("cannot open "), "{error}");
}

#[test]
fn a_compression_that_fails_leaves_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    // A directory where the compressed file is to be.
    fs::create_dir_all(folder.path().join("log.1.gz.new/full")).unwrap();
    let mut file = RotatedFile::open(&path, SMALL).unwrap();
    append(&mut file, &("a".repeat(98) + "\n"));
    append(&mut file, "b\n");
    append(&mut file, &("c".repeat(98) + "\n"));
    drop(file);
    assert_eq!(lines(&path), ["a".repeat(98), "b".into(), "c".repeat(98)]);
}

#[test]
fn a_device_is_refused() {
    let full = RotatedFile::open("/dev/full", SMALL);
    assert!(matches!(full, Err(RotatedError::NotAFile { .. })), "{full:?}");
}

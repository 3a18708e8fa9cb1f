//! What is opened, and what is not: modes, owners, links and mounts. Some need root, to give files away or to mount.

use std::{
    fs::{self, Permissions},
    io::Read as _,
    os::unix::fs::{PermissionsExt as _, lchown, symlink},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

use super::*;

fn content(path: &Path) -> String {
    let mut text = String::new();
    open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn untrusted(path: &Path) -> Untrusted {
    match open(path).unwrap_err() {
        NotOpened::Untrusted(why) => why,
        NotOpened::Io(error) => panic!("{error}"),
    }
}

#[test]
fn what_others_can_write_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.yaml");
    fs::write(&path, "{}").unwrap();
    for (mode, is_read) in
        [(0o600, true), (0o644, true), (0o664, false), (0o602, false), (0o666, false), (0o640, true)]
    {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        match open(&path) {
            Ok(_) => assert!(is_read, "{mode:o}"),
            Err(NotOpened::Untrusted(why)) => {
                assert_eq!((is_read, why), (false, Untrusted::Writable { mode }));
            }
            Err(NotOpened::Io(error)) => panic!("{error}"),
        }
    }
}

#[test]
fn links_of_ones_own_are_followed_wherever_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("..1")).unwrap();
    fs::write(at("..1/policy.yaml"), "one").unwrap();
    symlink("..1", at("..data")).unwrap();
    symlink("..data/policy.yaml", at("policy.yaml")).unwrap();
    symlink(at("policy.yaml"), at("absolute")).unwrap();
    symlink("..1/../policy.yaml", at("up")).unwrap();
    for name in ["policy.yaml", "absolute", "up", "./..data/./policy.yaml"] {
        assert_eq!(content(&at(name)), "one", "{name}");
    }
    symlink("loop", at("loop")).unwrap();
    assert!(
        matches!(open(&at("loop")), Err(NotOpened::Io(error)) if error.raw_os_error() == Some(libc::ELOOP))
    );
    assert!(
        matches!(open(&at("none")), Err(NotOpened::Io(error)) if error.kind() == io::ErrorKind::NotFound)
    );
}

#[test]
fn a_directory_where_others_can_put_a_file_is_not_gone_through() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let directories = ["a", "a/b", "elsewhere"];
    for name in directories {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at("elsewhere/policy.yaml"), "root's").unwrap();
    symlink("../../elsewhere/policy.yaml", at("a/b/policy.yaml")).unwrap();
    let path = at("a/b/policy.yaml");
    assert_eq!(content(&path), "root's");
    let before = hands(&path);
    for name in directories {
        for (mode, is_safe) in
            [(0o777, false), (0o775, false), (0o757, false), (0o2777, false), (0o1777, true), (0o755, true)]
        {
            fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
            if is_safe {
                assert_eq!(content(&path), "root's", "{name} {mode:o}");
                continue;
            }
            let why = untrusted(&path);
            assert_eq!(why, Untrusted::WritableDirectory { directory: at(name), mode }, "{name} {mode:o}");
            let said = why.to_string();
            assert!(said.contains("`chmod go-w`") && said.contains(&*at(name).to_string_lossy()), "{said}");
            assert_ne!(hands(&path), before, "it is looked at again");
        }
    }
    assert_eq!(hands(&path), before);
}

/// Needs root, to give a directory away.
#[test]
fn a_directory_of_somebody_else_is_not_gone_through() {
    const NOBODY: u32 = 65534;
    if !geteuid().is_root() {
        eprintln!("left out: only root can give directories away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("a/b")).unwrap();
    fs::write(at("a/b/policy.yaml"), "root's").unwrap();
    for name in ["a", "a/b"] {
        for mode in [0o755, 0o1777] {
            fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
            lchown(at(name), Some(NOBODY), None).unwrap();
            let why = untrusted(&at("a/b/policy.yaml"));
            assert_eq!(why, Untrusted::Directory { directory: at(name), owner: NOBODY });
            assert!(why.to_string().contains("user nobody") && why.to_string().contains("chown"), "{why}");
            lchown(at(name), Some(0), None).unwrap();
        }
    }
    assert_eq!(content(&at("a/b/policy.yaml")), "root's");
}

/// Like a `ConfigMap`: kubelet gives its directory mode 0777, and mounts it read-only. Needs root, to mount.
#[test]
fn a_writable_directory_on_a_read_only_mount_is_gone_through() {
    if !geteuid().is_root() {
        eprintln!("left out: only root can mount");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (volume, mounted) = (dir.path().join("volume"), dir.path().join("mounted"));
    for directory in [&volume, &volume.join("..1"), &mounted] {
        fs::create_dir(directory).unwrap();
    }
    fs::write(volume.join("..1/policy.yaml"), "one").unwrap();
    symlink("..1", volume.join("..data")).unwrap();
    symlink("..data/policy.yaml", volume.join("policy.yaml")).unwrap();
    fs::set_permissions(&volume, Permissions::from_mode(0o777)).unwrap();
    let expected = Untrusted::WritableDirectory { directory: volume.clone(), mode: 0o777 };
    assert_eq!(untrusted(&volume.join("policy.yaml")), expected);
    // In a mount namespace of this thread, which ends with it.
    let path = mounted.join("policy.yaml");
    let read = std::thread::spawn(move || {
        let none: Option<&str> = None;
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some(&volume), &mounted, none, MsFlags::MS_BIND, none).unwrap();
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, &mounted, none, flags, none).unwrap();
        content(&path)
    });
    assert_eq!(read.join().unwrap(), "one");
}

#[test]
fn a_pipe_without_a_name_is_opened() {
    let (reader, mut writer) = io::pipe().unwrap();
    io::Write::write_all(&mut writer, b"piped").unwrap();
    drop(writer);
    assert_eq!(content(&PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()))), "piped");
}

/// Needs root, to give a file away.
#[test]
fn what_is_somebody_elses_is_not_read_and_not_followed() {
    const NOBODY: u32 = 65534;
    if !geteuid().is_root() {
        eprintln!("left out: only root can give files away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("real")).unwrap();
    fs::write(at("real/policy.yaml"), "one").unwrap();
    symlink("real", at("way")).unwrap();
    symlink("way/policy.yaml", at("policy.yaml")).unwrap();
    assert_eq!(content(&at("policy.yaml")), "one");
    for link in ["way", "policy.yaml"] {
        lchown(at(link), Some(NOBODY), None).unwrap();
        let expected = Untrusted::Link { link: at(link), owner: NOBODY };
        assert_eq!(untrusted(&at("policy.yaml")), expected);
        lchown(at(link), Some(0), None).unwrap();
    }
    lchown(at("real/policy.yaml"), Some(NOBODY), None).unwrap();
    let why = untrusted(&at("policy.yaml"));
    assert_eq!(why, Untrusted::Owner { owner: NOBODY });
    assert!(why.to_string().contains("chown"), "{why}");
    assert_eq!(hands(&at("policy.yaml")), Some(Hands { owner: NOBODY, writable: 0, way: None }));
}

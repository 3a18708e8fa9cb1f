//! Unix sockets: who may connect, and who owns the file.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener as StdListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::unistd::{getegid, geteuid};

use super::{
    super::{Access, ListenError, Listener},
    Server, ask, limits, router,
};

fn start(path: &Path, access: Access) -> Server {
    let path = path.to_owned();
    Server::start(async move { Listener::unix(&path, access).await.unwrap() }, router(), limits())
}

fn refused(path: &Path) -> ListenError {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Listener::unix(path, Access::default())).unwrap_err()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run/deep/sgd.sock");
    (directory, path)
}

#[test]
fn the_kernel_says_who_asks() {
    let (_directory, path) = place();
    let server = start(&path, Access::default());
    let metadata = fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
    let reply = ask(&mut UnixStream::connect(&path).unwrap(), "/peer");
    let peer =
        format!("Process {{ uid: {}, gid: {}, pid: Some({}) }}", geteuid(), getegid(), std::process::id());
    assert!(reply.ends_with(&peer), "{reply}");
    server.stop();
    assert!(!path.exists());
}

#[test]
fn users_who_are_not_admitted_are_told_so() {
    let (_directory, path) = place();
    let server = start(&path, Access { uids: BTreeSet::from([4_000_000]), group: None });
    let mut stream = UnixStream::connect(&path).unwrap();
    let reply = ask(&mut stream, "/peer");
    assert!(reply.starts_with("HTTP/1.1 403 ") && reply.contains("may not use this socket"), "{reply}");
    assert!(!reply.contains("Process"), "{reply}");
    super::until_closed(&mut stream);
    server.stop();

    // The mode of the file admitted the members of a group, if one was configured.
    let group = getegid().as_raw();
    let server = start(&path, Access { uids: BTreeSet::new(), group: Some(group) });
    assert_eq!(fs::metadata(&path).unwrap().gid(), group);
    assert!(ask(&mut UnixStream::connect(&path).unwrap(), "/").ends_with("ok"));
    server.stop();
}

#[test]
fn root_and_ones_own_user_by_default() {
    let access = Access::default();
    assert!(access.admits(0) && access.admits(geteuid().as_raw()));
    assert!(!access.admits(4_000_000));
}

#[test]
fn a_socket_that_is_left_is_replaced() {
    let (_directory, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(StdListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = start(&path, Access::default());
    assert!(ask(&mut UnixStream::connect(&path).unwrap(), "/").ends_with("ok"));
    server.stop();
}

#[test]
fn a_socket_in_use_is_not_replaced() {
    let (_directory, path) = place();
    let server = start(&path, Access::default());
    let error = refused(&path);
    assert!(matches!(error, ListenError::Taken { .. }), "{error}");
    assert!(error.to_string().contains("sgd.sock"), "{error}");
    assert!(ask(&mut UnixStream::connect(&path).unwrap(), "/").ends_with("ok"));
    server.stop();

    // Not even one whose process does not accept, with its backlog full.
    let busy = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    busy.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    busy.listen(0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    assert!(matches!(refused(&path), ListenError::Taken { .. }));
}

#[test]
fn what_is_no_socket_is_not_replaced() {
    let (directory, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "precious").unwrap();
    assert!(matches!(refused(&path), ListenError::NotASocket { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(refused(&link), ListenError::NotASocket { .. }));

    let error = refused(&path.join("below a file"));
    assert!(matches!(error, ListenError::Io { doing: "create the directory", .. }), "{error}");
    let error = refused(&directory.path().join("x".repeat(200)));
    assert!(matches!(error, ListenError::Io { doing: "bind", .. }), "{error}");
}

#[test]
fn a_socket_that_is_anothers_by_now_is_not_removed() {
    let (_directory, path) = place();
    let server = start(&path, Access::default());
    fs::remove_file(&path).unwrap();
    let another = StdListener::bind(&path).unwrap();
    server.stop();
    assert!(UnixStream::connect(&path).is_ok());
    drop(another);
}

#[test]
fn two_that_start_at_once_do_not_take_from_each_other() {
    let (_directory, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for _ in 0..20 {
        drop(StdListener::bind(&path).unwrap());
        let start = |path: PathBuf| {
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async { Listener::unix(&path, Access::default()).await })
            })
        };
        let threads: Vec<_> = (0..4).map(|_| start(path.clone())).collect();
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(UnixStream::connect(&path).is_ok());
        drop(results);
        assert!(!path.exists());
    }
}

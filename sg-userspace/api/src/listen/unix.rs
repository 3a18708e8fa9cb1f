//! Unix sockets as files: created with the right mode before anyone can connect, taken over from a process that has ended, and
//! removed at the end unless another process has replaced them.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use sg_host::lock_file::{LockError, LockFile};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::{Access, ListenError, limits::BACKLOG};

/// Owner and group may connect.
const MODE: u32 = 0o660;
/// The interval and the number of attempts at the lock for creating a socket.
const TURN: (Duration, u32) = (Duration::from_millis(50), 40);

/// The name of a socket in the file system; dropping it removes it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: the name may later belong to another file.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove the socket {}: {error}", self.path.display());
        }
    }
}

/// Listens on `path`.
pub(super) async fn bind(path: &Path, access: &Access) -> Result<(UnixListener, SocketFile), ListenError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
        .map_err(failed("create the directory", directory))?;
    // Held until the socket listens: to another agent that starts now, a socket that is bound but does not listen yet looks like
    // one whose process has ended.
    let turn = take_turn(path).await?;
    let made = make(path, access).await;
    turn.remove().map_err(failed("remove the lock of", path))?;
    made
}

/// Creates the socket, while this process holds the lock.
async fn make(path: &Path, access: &Access) -> Result<(UnixListener, SocketFile), ListenError> {
    remove_stale(path).await?;

    let socket = UnixSocket::new_stream().map_err(failed("make a socket for", path))?;
    socket.bind(path).map_err(failed("bind", path))?;
    let identity = identity(path).map_err(failed("look at", path))?;
    let file = SocketFile { path: path.to_owned(), identity };
    // Before `listen`, nobody can connect, whatever the umask left in the mode.
    if access.group.is_some() {
        chown(path, None, access.group).map_err(failed("change the group of", path))?;
    }
    fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed("change the mode of", path))?;
    let listener = socket.listen(BACKLOG).map_err(failed("listen on", path))?;
    Ok((listener, file))
}

/// Waits until no other process is creating the socket `path`. The lock is a file beside it: anybody who can read a directory can
/// lock it.
async fn take_turn(path: &Path) -> Result<LockFile, ListenError> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let lock = PathBuf::from(name);
    let (pause, times) = TURN;
    let mut tries = 1;
    loop {
        match LockFile::try_lock(&lock) {
            Err(LockError::Held { .. }) if tries < times => {
                tries += 1;
                tokio::time::sleep(pause).await;
            }
            turn => return turn.map_err(|source| ListenError::Lock { source }),
        }
    }
}

/// Removes the socket of a process that has ended.
async fn remove_stale(path: &Path) -> Result<(), ListenError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", path)(error)),
    }
    match UnixStream::connect(path).await {
        // `WouldBlock`: its backlog is full.
        Ok(_) => Err(ListenError::Taken { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(ListenError::Taken { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!("{} is left from a process that has ended; it is replaced", path.display());
            fs::remove_file(path).map_err(failed("remove", path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("connect to", path)(error)),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ListenError + 'a {
    move |source| ListenError::Io { doing, path: path.to_owned(), source }
}

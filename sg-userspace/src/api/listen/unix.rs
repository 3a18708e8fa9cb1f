//! Unix sockets as files: made with the right mode before anyone can connect, taken over from a process that has
//! ended, and removed at the end unless they are somebody else's by then.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::fcntl::{Flock, FlockArg};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::{Access, ListenError, serve::BACKLOG};

/// Owner and group may connect.
const MODE: u32 = 0o660;
/// How often, and how many times, the turn to make a socket is asked for.
const TURN: (Duration, u32) = (Duration::from_millis(50), 40);

/// The name of a socket in the file system; dropping it removes it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: what has the name later may be another's.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::warn!("cannot remove the socket {}: {error}", self.path.display());
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
    // Held until the socket listens: to another agent that starts now, a socket that is bound and does not listen
    // yet looks like one whose process has ended.
    let turn = take_turn(directory).await?;
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
    drop(turn);
    Ok((listener, file))
}

/// Waits until no other process makes a socket in `directory`; dropping what is returned ends the turn.
async fn take_turn(directory: &Path) -> Result<Flock<File>, ListenError> {
    let (pause, times) = TURN;
    for _ in 0..times {
        let handle = File::open(directory).map_err(failed("open", directory))?;
        match Flock::lock(handle, FlockArg::LockExclusiveNonblock) {
            Ok(turn) => return Ok(turn),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => tokio::time::sleep(pause).await,
            Err((_, error)) => return Err(failed("lock", directory)(error.into())),
        }
    }
    Err(ListenError::Contended { directory: directory.to_owned() })
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
            log::info!("{} is left from a process that has ended; it is replaced", path.display());
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

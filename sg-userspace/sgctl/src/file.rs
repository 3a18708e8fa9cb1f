//! Files to send, and files for responses. It must never know what is in them. Called by arguments, the client, the output and the
//! commands.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, anyhow};

use crate::failure::Failure;

/// The largest file that is sent.
const LARGEST: u64 = 256 << 20;

/// Reads a whole file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    read.with_context(|| name.clone()).map_err(Failure::Input)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::input(anyhow!("{name}: larger than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// Reads a whole text file.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?)
        .with_context(|| format!("{}: no UTF-8 text", path.display()))
        .map_err(Failure::Input)
}

/// Writes a file that only its owner can read. An existing file is replaced only when the new one is complete.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = if path.metadata().is_ok_and(|found| !found.is_file()) {
        // A pipe or a device cannot be replaced, only written to.
        OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(bytes))
    } else {
        replace(path, bytes).map(drop)
    };
    written.with_context(|| format!("cannot write {}", path.display())).map_err(Failure::Other)
}

/// Begins a file that only its owner can read, and that grows. An existing one is replaced: whoever has that open, or could read it,
/// sees nothing of this one.
pub(crate) fn begin(path: &Path) -> Result<File, Failure> {
    let begun = if path.metadata().is_ok_and(|found| !found.is_file()) {
        OpenOptions::new().write(true).open(path)
    } else {
        replace(path, &[])
    };
    begun.with_context(|| format!("cannot write {}", path.display())).map_err(Failure::Other)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", process::id()));
    let new: PathBuf = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path).map(|()| file)
    };
    let replaced = write();
    if replaced.is_err() {
        // The incomplete file is of no use; the failure itself is reported.
        let _ = fs::remove_file(&new);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        fs::write(&path, "old and long").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(read_text(&path).unwrap(), "new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(write(Path::new("/no/such/dir/file"), b"").unwrap_err().code(), 1);
        write(Path::new("/dev/null"), b"x").unwrap();
    }

    #[test]
    fn a_file_that_grows_is_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("packets");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let mut reader = File::open(&path).unwrap();
        begin(&path).unwrap().write_all(b"secret").unwrap();
        assert_eq!(read_text(&path).unwrap(), "secret");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let mut seen = String::new();
        reader.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "old");
        begin(Path::new("/dev/null")).unwrap();
        assert_eq!(begin(Path::new("/no/such/dir/file")).unwrap_err().code(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_bad_input() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bytes");
        fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path).unwrap_err().code(), 2);
        assert_eq!(read(Path::new("/no/such/file")).unwrap_err().code(), 2);
    }
}

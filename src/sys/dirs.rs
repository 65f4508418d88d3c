//! Opening folders named by the user; everything below works through the returned capability.

use std::io;

use cap_std::ambient_authority;
use cap_std::fs_utf8::Dir;
use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::env;

/// So many names are tried for a temporary folder.
const ATTEMPTS: u32 = 1000;

/// Opens a folder named on the command line or in the environment.
///
/// # Errors
/// When it does not exist or is not a folder.
pub fn open(path: &Utf8Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority())
}

/// Opens a folder, making it and its parents first.
///
/// # Errors
/// When it cannot be made.
pub fn open_or_create(path: &Utf8Path) -> io::Result<Dir> {
    Dir::create_ambient_dir_all(path, ambient_authority())?;
    open(path)
}

/// Whether something exists at `path`.
pub fn exists(path: &Utf8Path) -> bool {
    path.exists()
}

/// `path` made absolute against the current folder, without asking the file system about links.
///
/// # Errors
/// When the current folder is gone or its path is not UTF-8.
pub fn absolute(path: &Utf8Path) -> io::Result<Utf8PathBuf> {
    let path = std::path::absolute(path)?;
    Utf8PathBuf::from_path_buf(path).map_err(|path| io::Error::other(format!("`{}` is not UTF-8", path.display())))
}

/// A folder of this user's own among the machine's temporary files, gone with everything in it when dropped.
#[derive(Debug)]
pub struct TemporaryFolder {
    parent: Dir,
    name: String,
    path: Utf8PathBuf,
}

impl TemporaryFolder {
    /// Makes one in `TMPDIR`, else in `/tmp`; its name begins with `prefix`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(prefix: &str) -> io::Result<Self> {
        use cap_std::fs::DirBuilderExt as _;
        let parent_path = temporary();
        let parent = open(&parent_path)?;
        let mut builder = cap_std::fs::DirBuilder::new();
        let builder = builder.mode(0o700);
        let own = std::process::id();
        for number in 0..ATTEMPTS {
            let name = format!("{prefix}{own}.{number}");
            match parent.create_dir_with(&name, builder) {
                // Left behind by a killed process of the same number, or somebody else's.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(Self { path: absolute(&parent_path)?.join(&name), parent, name }),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Absolute path.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = self.parent.remove_dir_all(&self.name) {
            tracing::debug!(%error, path = %self.path, "removing a temporary folder");
        }
    }
}

/// Bytes that may still be written by this user below `dir`.
///
/// # Errors
/// When the file system cannot be asked.
pub fn free_bytes(dir: &Dir) -> io::Result<u64> {
    let stat = rustix::fs::fstatvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Effective user of this process.
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Syncs a folder, so that a rename in it survives a power cut.
///
/// # Errors
/// When the file system reports an error.
pub fn sync(dir: &Dir) -> io::Result<()> {
    // A capability may be an O_PATH descriptor, which cannot be synced; open the folder for reading.
    let file = rustix::fs::openat(
        dir,
        ".",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )?;
    rustix::fs::fsync(&file).map_err(Into::into)
}

/// Opens a file named on the command line or by imgbuild itself, for reading.
///
/// # Errors
/// When it cannot be opened.
pub fn open_file(path: &Utf8Path) -> io::Result<std::fs::File> {
    // A bare name has an empty parent, which no system call takes for the current folder.
    let path = absolute(path)?;
    let (folder, name) = (path.parent().unwrap_or(Utf8Path::new("/")), path.file_name().unwrap_or_default());
    Ok(open(folder)?.open(name)?.into_std())
}

/// Creates a file named on the command line or by imgbuild itself, or empties it when it is there.
///
/// # Errors
/// When it cannot be created.
pub fn create_file(path: &Utf8Path) -> io::Result<std::fs::File> {
    let path = absolute(path)?;
    let (folder, name) = (path.parent().unwrap_or(Utf8Path::new("/")), path.file_name().unwrap_or_default());
    Ok(open(folder)?.create(name)?.into_std())
}

/// Folder of the machine's temporary files.
pub fn temporary() -> Utf8PathBuf {
    Utf8PathBuf::from(env::TMPDIR.get().unwrap_or_else(|| "/tmp".to_owned()))
}

/// Writes a file below `dir`, its folders included, with exactly this mode whatever the umask.
///
/// # Errors
/// When it cannot be written.
pub fn write_with_mode(dir: &Dir, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    use cap_std::fs::PermissionsExt as _;
    if let Some((folder, _)) = path.rsplit_once('/') {
        dir.create_dir_all(folder)?;
    }
    dir.write(path, bytes)?;
    dir.set_permissions(path, cap_std::fs::Permissions::from_mode(mode))
}

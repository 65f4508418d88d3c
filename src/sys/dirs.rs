//! Opening folders named by the user; everything below works through the returned capability.

use std::io;

use cap_std::ambient_authority;
use cap_std::fs_utf8::Dir;
use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

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

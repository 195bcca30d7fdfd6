//! Folders of this machine. Only what lies within an opened one is touched: links are followed before that is asked, and a file that is a link is
//! none.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustix::fs::{CWD, OFlags, RenameFlags};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{DropFolders, ENTRIES_MAX, Entry, FileFault, check_name};

const CHUNK_BYTES: usize = 64 * 1024;

pub(super) struct Folder {
    /// Absolute.
    pub root: String,
    pub folders: Arc<DropFolders>,
}

pub(super) fn fault(path: &str, error: &std::io::Error) -> FileFault {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => FileFault::NotFound(path.to_owned()),
        ErrorKind::PermissionDenied => FileFault::Denied(path.to_owned()),
        ErrorKind::AlreadyExists => FileFault::Exists(path.to_owned()),
        _ => FileFault::NotSent(format!("{path}: {error}")),
    }
}

impl Folder {
    fn path(&self, path: &str) -> PathBuf {
        Path::new("/").join(self.root.trim_start_matches('/')).join(path.trim_start_matches('/'))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        path: &str,
        act: impl FnOnce(&DropFolders, &Path) -> Result<T, FileFault> + Send + 'static,
    ) -> Result<T, FileFault> {
        let (folders, path) = (self.folders.clone(), self.path(path));
        let done = tokio::task::spawn_blocking(move || act(&folders, &path)).await;
        done.unwrap_or_else(|error| Err(FileFault::Lost(error.to_string())))
    }

    pub async fn list(&self, folder: &str) -> Result<Vec<Entry>, FileFault> {
        self.blocking(folder, |folders, path| {
            let real = folders.within(path)?;
            let said = path.display().to_string();
            let mut entries = Vec::new();
            for entry in std::fs::read_dir(real).map_err(|error| fault(&said, &error))? {
                let entry = entry.map_err(|error| fault(&said, &error))?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                // One that goes away while we look was never there.
                let Ok(about) = entry.metadata() else { continue };
                if about.is_file() {
                    entries.push(told(name, &about));
                }
                if entries.len() > ENTRIES_MAX {
                    return Err(FileFault::Refused(format!("{said} has more than {ENTRIES_MAX} files; move old ones away")));
                }
            }
            Ok(entries)
        })
        .await
    }

    pub async fn stat(&self, path: &str) -> Result<Option<Entry>, FileFault> {
        self.blocking(path, |folders, path| {
            let real = match file(folders, path) {
                Err(FileFault::NotFound(_)) => return Ok(None),
                real => real?,
            };
            match std::fs::symlink_metadata(&real) {
                Ok(about) if about.is_file() => Ok(Some(told(name_of(&real), &about))),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(fault(&path.display().to_string(), &error)),
            }
        })
        .await
    }

    pub async fn read<W: AsyncWrite + Unpin>(&self, path: &str, into: &mut W, max: u64) -> Result<u64, FileFault> {
        let mut file = self
            .blocking(path, |folders, path| {
                let real = file(folders, path)?;
                let mut options = OpenOptions::new();
                let opened = options.read(true).custom_flags(no_link()).open(real);
                let opened = opened.map_err(|error| fault(&path.display().to_string(), &error))?;
                Ok(opened)
            })
            .await?;
        let mut bytes = 0_u64;
        loop {
            let read = tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = file.read(&mut chunk)?;
                chunk.truncate(read);
                Ok::<_, std::io::Error>((file, chunk))
            });
            let read = read.await.map_err(|error| FileFault::NotSent(error.to_string()))?;
            let (rest, chunk) = read.map_err(|error| fault(path, &error))?;
            file = rest;
            if chunk.is_empty() {
                return Ok(bytes);
            }
            bytes += chunk.len() as u64;
            if bytes > max {
                return Err(FileFault::TooLong { path: path.to_owned(), max });
            }
            into.write_all(&chunk).await.map_err(|error| FileFault::NotSent(error.to_string()))?;
        }
    }

    pub async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), FileFault> {
        let bytes = bytes.to_vec();
        self.blocking(path, move |folders, path| {
            let real = file(folders, path)?;
            let mut options = OpenOptions::new();
            let opened = options.write(true).create(true).truncate(true).custom_flags(no_link()).open(&real);
            let written = opened.and_then(|mut file| {
                file.write_all(&bytes)?;
                file.sync_all()
            });
            written.map_err(|error| fault(&path.display().to_string(), &error))
        })
        .await
    }

    pub async fn rename(&self, from: &str, to: &str) -> Result<(), FileFault> {
        let to = self.path(to);
        self.blocking(from, move |folders, from| {
            let (real, target) = (file(folders, from)?, file(folders, &to)?);
            let done = rustix::fs::renameat_with(CWD, &real, CWD, &target, RenameFlags::NOREPLACE);
            done.map_err(|error| match std::io::Error::from(error) {
                error if error.kind() == ErrorKind::AlreadyExists => FileFault::Exists(to.display().to_string()),
                error => fault(&from.display().to_string(), &error),
            })
        })
        .await
    }

    pub async fn make_folder(&self, path: &str) -> Result<(), FileFault> {
        self.blocking(path, |folders, path| match folders.within(path) {
            Ok(_) => Ok(()),
            Err(FileFault::NotFound(_)) => {
                let real = file(folders, path)?;
                std::fs::create_dir(real).map_err(|error| fault(&path.display().to_string(), &error))
            }
            Err(fault) => Err(fault),
        })
        .await
    }

    pub async fn remove(&self, path: &str) -> Result<(), FileFault> {
        self.blocking(path, |folders, path| {
            let real = file(folders, path)?;
            std::fs::remove_file(real).map_err(|error| fault(&path.display().to_string(), &error))
        })
        .await
    }
}

/// A file's path in its real folder, which must be an opened one.
fn file(folders: &DropFolders, path: &Path) -> Result<PathBuf, FileFault> {
    let name = name_of(path);
    check_name(&name)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    Ok(folders.within(folder)?.join(name))
}

fn name_of(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
}

fn told(name: String, about: &std::fs::Metadata) -> Entry {
    let modified_at = about.modified().map_or(DateTime::<Utc>::UNIX_EPOCH, DateTime::from);
    // As the database keeps it.
    let modified_at = DateTime::from_timestamp_micros(modified_at.timestamp_micros()).unwrap_or_default();
    Entry { name, size: about.len(), modified_at }
}

fn no_link() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

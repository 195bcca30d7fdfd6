//! The real program, on folders of a test's own.

use std::path::PathBuf;
use std::process::Command;

/// A folder of its own, gone at the end.
pub struct Folder(PathBuf);

impl Folder {
    /// `name` is the test's, so that two at once do not meet.
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("crossdock-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        Self(folder)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("the folder's name is text")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the program printed, and whether it was content.
pub fn crossdock(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_crossdock")).args(arguments).output().expect("the program was built");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

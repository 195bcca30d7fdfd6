//! What the system may show of this process's memory, which holds credentials while it works.

use rustix::process::{Resource, Rlimit, setrlimit};
use tracing::warn;

/// Leaves no image of the memory behind where the process ends badly. On Linux that counts for programs that gather such images, too, and no other
/// process of the same user can look into the memory or the environment: a debugger needs root.
pub fn hide_memory() {
    let hidden = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let hidden = hidden.and_then(|()| rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
    if let Err(error) = hidden {
        warn!(%error, "The system may write this process's memory, with what it knows of credentials, to a core dump");
    }
}

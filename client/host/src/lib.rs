//! What a client asks of the host under it: an operating system, or a browser's tab.
//!
//! * [`files`]: the files of a user's home, private to their owner, whole or not there.
//! * [`clock`]: the time of day, and waiting.
//! * [`sendable`]: tasks of a tab where traits ask for tasks that may change threads.
//!
//! The same code of keys, release, journal and chain runs over both; nothing else here is allowed to differ. In a tab,
//! files are in memory and each change is handed to the page, which keeps it sealed: see `files::Sink`, which only a browser has.
//!
//! ```
//! use encompute_host::files;
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("record");
//! files::replace(&path, b"one")?;
//! files::replace(&path, b"two")?;
//! assert_eq!(files::read(&path)?, b"two");
//! assert!(files::create(&path, b"three").is_err());
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod clock;
pub mod files;
mod task;

pub use task::sendable;

//! What this machine lets a drill do.

use crate::{fault::Fault, market::DrillError};
use encompute_kit::{Clocks, Room};
use std::{os::unix::process::CommandExt, process::Command};

/// Set for a drill that runs in a namespace already.
const INSIDE: &str = "ENCOMPUTE_DRILL_NAMESPACE";

/// What this machine lets a drill do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// It may mount file systems, so that they can be full.
    pub rooms: bool,
    /// It can set the clocks of single programs.
    pub clocks: bool,
}

impl Means {
    /// Tries.
    pub fn find() -> Self {
        Self { rooms: Room::can_be_made(), clocks: Clocks::library().is_some() }
    }

    /// Refuses a fault that is asked for by name and cannot happen here.
    pub(crate) fn allow(self, only: Option<Fault>) -> Result<(), DrillError> {
        match self.left_out(None).into_iter().find(|(fault, _)| only == Some(*fault)) {
            Some((_, why)) => Err(DrillError::Found(why.to_owned())),
            None => Ok(()),
        }
    }

    /// Faults that a drill leaves out here, each with a sentence.
    pub(crate) fn left_out(self, only: Option<Fault>) -> Vec<(Fault, &'static str)> {
        let all = [
            (
                self.rooms,
                Fault::DiskFull,
                "no disk is full here: the drill may not mount file systems; run it as root, or where `unshare -Urm` is allowed",
            ),
            (
                self.clocks,
                Fault::ClockJump,
                "no clock jumps here: libfaketime is not installed; `scripts/setup --tests` does that",
            ),
        ];
        let missing = all.into_iter().filter(|(has, fault, _)| !has && only.is_none_or(|only| only == *fault));
        missing.map(|(_, fault, why)| (fault, why)).collect()
    }
}

/// Starts this program anew in a mount namespace of its own, where that is possible: what it mounts there is gone
/// with it, however it ends, and nobody else ever sees it. The process stays the same.
pub(crate) fn enter_namespace() {
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    let ways = [&["--mount", "--propagation", "private"][..], &["--user", "--map-root-user", "--mount"]];
    let possible = |way: &&&[&str]| {
        let tried = Command::new("unshare").args(**way).arg("true").stderr(std::process::Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let (Some(way), Ok(this)) = (ways.iter().find(possible), std::env::current_exe()) else { return };
    let mut command = Command::new("unshare");
    command.args(*way).arg(this).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    // It comes back only if that failed; the drill then goes on where it is.
    drop(command.exec());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_cannot_happen_here_is_refused_by_name_and_otherwise_left_out_with_a_sentence() {
        let means = Means { rooms: false, clocks: true };
        let refused = means.allow(Some(Fault::DiskFull)).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|words| words.contains("unshare -Urm")));
        assert!(means.allow(None).is_ok() && means.allow(Some(Fault::ClockJump)).is_ok());
        let left_out: Vec<Fault> = means.left_out(None).into_iter().map(|(fault, _)| fault).collect();
        assert_eq!(left_out, [Fault::DiskFull]);
        assert!(Means { rooms: true, clocks: true }.left_out(None).is_empty());
    }
}

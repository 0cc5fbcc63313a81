//! How a command ends when it does not end well: one sentence, an exit code, perhaps a hint.

use encompute_job::{CaseError, JobError};
use std::{error::Error, fmt::Write};

/// Exit codes, documented in `encompute --help` and the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It failed.
    Failed = 1,
    /// It was asked for wrongly.
    Usage = 2,
    /// What it names does not exist.
    NotFound = 3,
    /// The chain, or a service, cannot be reached.
    Unreachable = 4,
    /// A check of somebody's proof failed.
    Verification = 5,
    /// Somebody did not answer in time.
    TimedOut = 6,
    /// It would have given away more than is allowed.
    Privacy = 7,
}

/// Why a command ends early.
#[derive(Debug)]
pub struct Failure {
    /// The process's exit code.
    pub exit: Exit,
    /// What failed, outermost first, joined with `: `.
    pub text: String,
    /// What the user can do.
    pub hint: Option<String>,
}

/// What every command gives.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure in words of ours.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), hint: None }
    }

    /// A failure of a library, with its whole chain of causes, each once.
    pub fn of(exit: Exit, doing: &str, error: &(dyn Error + 'static)) -> Self {
        let mut text = doing.to_owned();
        let mut cause = Some(error);
        while let Some(error) = cause {
            let words = error.to_string();
            if !text.ends_with(&words) {
                // Writing to a String cannot fail.
                let _ = write!(text, ": {words}");
            }
            cause = error.source();
        }
        Self { exit, text, hint: None }
    }

    /// The same with what the user can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Turns a library's error into a failure, saying what was being done.
pub trait Doing<T> {
    /// With exit code `exit`.
    fn doing(self, exit: Exit, doing: &str) -> Outcome<T>;
}

impl<T, E: Error + 'static> Doing<T> for Result<T, E> {
    fn doing(self, exit: Exit, doing: &str) -> Outcome<T> {
        self.map_err(|error| Failure::of(exit, doing, &error))
    }
}

/// Errors of the chain client know their class; this gives it an exit code.
pub fn exit_of_chain(class: encompute_chain::Class) -> Exit {
    use encompute_chain::Class;
    match class {
        Class::Unreachable => Exit::Unreachable,
        Class::TimedOut => Exit::TimedOut,
        Class::NotFound => Exit::NotFound,
        _ => Exit::Failed,
    }
}

/// Errors of stores and gateways know their class, too.
pub fn exit_of_store(class: encompute_store::Class) -> Exit {
    use encompute_store::Class;
    match class {
        Class::Unreachable => Exit::Unreachable,
        Class::TimedOut => Exit::TimedOut,
        Class::NotFound => Exit::NotFound,
        Class::Unverified => Exit::Verification,
        _ => Exit::Failed,
    }
}

/// The failure of a run, with its exit code.
pub fn failure_of_job(error: &JobError) -> Failure {
    let exit = match error {
        JobError::Read(error) | JobError::Forgotten { source: error, .. } => exit_of_chain(error.class()),
        JobError::Submit { source, .. } => exit_of_chain(source.class()),
        JobError::Fetch { source, .. } => exit_of_store(source.class()),
        JobError::Store { source, .. } => exit_of_store(source.class()),
        JobError::NoJob(_) | JobError::NoSession { .. } | JobError::NoCustodian { .. } => Exit::NotFound,
        JobError::Unattested { .. }
        | JobError::Round(_)
        | JobError::Commitment(_)
        | JobError::Message { .. }
        | JobError::Response { .. }
        | JobError::Shape { .. }
        | JobError::Result { .. }
        | JobError::Unwitnessed { .. }
        | JobError::Unquoted { .. }
        | JobError::Trust(_) => Exit::Verification,
        JobError::Release(_) | JobError::Policy(_) | JobError::GradedF { .. } | JobError::Declined(_) => Exit::Privacy,
        JobError::TimedOut { .. } | JobError::Unfinished { .. } => Exit::TimedOut,
        JobError::Input { .. } | JobError::NoTail(_) | JobError::Parameters { .. } => Exit::Usage,
        JobError::CustodyUnwitnessed { .. } | JobError::CustodyUnquoted => Exit::Usage,
        JobError::Case(CaseError::NotNeeded | CaseError::Sets { .. }) => Exit::Usage,
        _ => Exit::Failed,
    };
    let failure = Failure::of(exit, "job", error);
    match error {
        JobError::TimedOut { job, .. } => {
            failure.hint(format!("nothing is lost; go on with: encompute job resume {job}"))
        }
        JobError::Unfinished { job, .. } => {
            failure.hint(format!("the worker is paid for its head; take the rest back: encompute job cancel {job}"))
        }
        JobError::Unwitnessed { job, .. } => failure.hint(format!(
            "the worker is paid for its head; take the rest back: encompute job cancel {job}; \
             or, if the version leaves it to you, trust it alone: encompute job resume {job} --without-witnesses"
        )),
        JobError::Unquoted { job, .. } => failure.hint(format!(
            "the worker is paid for its head; take the rest back: encompute job cancel {job}; what was shown, check by check: \
             encompute audit job {job}"
        )),
        JobError::NoCustodian { .. } => failure.hint(
            "nothing was paid; workers that take keys run encompute-custodian; without --custody the key stays here",
        ),
        JobError::Declined(job) => failure.hint(format!(
            "take back what is not spent: encompute job cancel {job}; or send after all: encompute job resume {job}"
        )),
        JobError::Submit { source, .. } if source.class() == encompute_chain::Class::Refused => {
            failure.hint("see what it costs: encompute job quote")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("fetch blob 3f9a")]
    struct Fetch(#[source] std::io::Error);

    #[test]
    fn a_chain_of_causes_is_printed_once_each() {
        let error = Fetch(std::io::Error::other("connection reset"));
        let failure = Failure::of(Exit::Failed, "job 7", &error);
        assert_eq!(failure.text, "job 7: fetch blob 3f9a: connection reset");
    }
}

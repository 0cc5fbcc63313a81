//! A short drill, as part of the suite; `xtask drill` is the long one.
#![allow(clippy::unwrap_used)]

use encompute_drill::{Fault, Outcome, Scene, Step, Victim, play};

/// Each process where it hurts most, and what was once found to break a job.
const SCENES: [(Victim, Step, Fault); 9] = [
    (Victim::Worker, Step::SecondRound, Fault::KillTwice),
    (Victim::Creator, Step::Sent, Fault::Kill),
    (Victim::Client, Step::Requested, Fault::Kill),
    (Victim::Gateway, Step::Rounds, Fault::Kill),
    (Victim::Chain, Step::Offered, Fault::Kill),
    // The worker takes the job anew and has forgotten what it answered; the client has not.
    (Victim::Worker, Step::FirstRound, Fault::KillPastWindow),
    // The client has the bytes that the store has lost.
    (Victim::Gateway, Step::Uploaded, Fault::BlobAltered),
    // The store fails while the worker uploads what its receipt names.
    (Victim::Gateway, Step::FirstRound, Fault::Unwritable),
    LOST,
];

/// What nobody can bring back: the user has no answer, and stops by silence.
const LOST: (Victim, Step, Fault) = (Victim::Client, Step::Rounds, Fault::TranscriptDeleted);

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_at_any_step_every_job_ends_and_no_planck_is_lost_or_paid_twice() {
    let scenes: Vec<Scene> = (0..)
        .zip(SCENES)
        .map(|(run, (victim, step, fault))| Scene { run, victim, step, fault, delay_ms: 5, down_ms: 200 })
        .collect();
    let report = play(&scenes, |_| ()).await.unwrap();
    assert!(report.is_clean(), "{}\n{report:#?}", report.table());
    // Nobody was away for longer than the others wait, but the worker, and its job is offered again.
    let others = report.rows.iter().filter(|row| row.scene.fault != LOST.2);
    assert!(others.into_iter().all(|row| row.outcome == Outcome::Settled), "{}\n{report:#?}", report.table());
    let lost = report.rows.iter().find(|row| row.scene.fault == LOST.2).unwrap();
    assert_eq!((lost.outcome, lost.reason.as_deref()), (Outcome::Refunded, Some("UserNoShow")), "{report:#?}");
}

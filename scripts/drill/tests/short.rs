//! A short drill, as part of the suite; `xtask drill` is the long one.
#![allow(clippy::unwrap_used)]

use encompute_drill::{Fault, Outcome, Scene, Step, Victim, play};
use std::process::Command;

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
        .map(|(run, (victim, step, fault))| Scene { run, ..Scene::new(victim, step, fault) })
        .collect();
    let report = play(&scenes, |_| ()).await.unwrap();
    assert!(report.is_clean(), "{}\n{report:#?}", report.table());
    // Nobody was away for longer than the others wait, but the worker, and its job is offered again.
    let others = report.rows.iter().filter(|row| row.scene.fault != LOST.2);
    assert!(others.into_iter().all(|row| row.outcome == Outcome::Settled), "{}\n{report:#?}", report.table());
    let lost = report.rows.iter().find(|row| row.scene.fault == LOST.2).unwrap();
    assert_eq!((lost.outcome, lost.reason.as_deref()), (Outcome::Refunded, Some("UserNoShow")), "{report:#?}");
}

/// What does not kill: links cut and slow, answers out of order, a store that becomes wrong, a polite end.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_else_is_done_to_a_market_every_job_settles() {
    let scene = Scene::new;
    let link = |victim, called, step, fault| Scene { called: Some(called), ..scene(victim, step, fault) };
    let scenes = [
        link(Victim::Client, Victim::Worker, Step::FirstRound, Fault::Cut),
        link(Victim::Worker, Victim::Chain, Step::Requested, Fault::Cut),
        link(Victim::Creator, Victim::Gateway, Step::Released, Fault::BlackHole),
        link(Victim::Client, Victim::Gateway, Step::Encrypted, Fault::SlowLink),
        scene(Victim::Client, Step::Started, Fault::Reorder),
        scene(Victim::Gateway, Step::SecondRound, Fault::BlobTooLarge),
        scene(Victim::Worker, Step::FirstRound, Fault::Drain),
        scene(Victim::Creator, Step::Sent, Fault::Drain),
    ];
    let scenes: Vec<Scene> = (0..).zip(scenes).map(|(run, scene)| Scene { run, ..scene }).collect();
    let report = play(&scenes, |_| ()).await.unwrap();
    assert!(report.is_clean(), "{}\n{report:#?}", report.table());
    assert_eq!(report.settled, report.runs, "{}\n{report:#?}", report.table());
    assert_eq!((report.drains["worker"].drains, report.drains["creator"].drains), (1, 1));
}

/// `xtask drill` with one fault, as JSON: it must be clean.
fn drill(fault: &str, runs: u32) -> serde_json::Value {
    let mut command = Command::new(encompute_kit::program("xtask"));
    let ran = command.args(["drill", "--json", "--only", fault, "--runs", &runs.to_string()]).output().unwrap();
    let (data, words) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{data}\n{words}");
    serde_json::from_str(&data).unwrap()
}

#[test]
fn everybodys_disk_is_full_once_and_nothing_is_lost_or_stuck() {
    if !encompute_kit::Room::can_be_made() {
        eprintln!("not tried: file systems can be mounted by root, or below `unshare -Urm`");
        return;
    }
    let report = drill("disk-full", 5);
    assert_eq!((&report["runs"], &report["lost_units"], &report["stuck"]), (&5.into(), &0.into(), &0.into()));
    let victims: Vec<&str> =
        report["rows"].as_array().unwrap().iter().filter_map(|row| row["victim"].as_str()).collect();
    assert_eq!(victims, ["worker", "creator", "client", "gateway", "chain"]);
}

#[test]
fn clocks_jump_by_hours_and_by_forty_days_and_nothing_is_lost_or_stuck() {
    if encompute_kit::Clocks::library().is_none() {
        eprintln!("not tried: libfaketime is not installed; `scripts/setup --tests` does that");
        return;
    }
    let report = drill("clock-jump", 7);
    assert_eq!((&report["runs"], &report["lost_units"], &report["stuck"]), (&7.into(), &0.into(), &0.into()));
}

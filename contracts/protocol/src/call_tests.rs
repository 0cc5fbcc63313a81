//! Selectors and calldata.

use super::*;

#[test]
fn no_two_messages_share_a_selector() {
    let mut selectors: Vec<_> = MESSAGES.iter().map(|(_, selector, _)| *selector).collect();
    selectors.sort();
    selectors.dedup();
    assert_eq!(selectors.len(), MESSAGES.len());
}

#[test]
fn calldata_is_the_selector_and_the_argument() {
    assert_eq!(ClaimJob { job: JobId(7) }.calldata(), [0, 0, 0, 0x11, 7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(BeginRegistration {}.calldata(), [0, 0, 0, 0x30]);
}

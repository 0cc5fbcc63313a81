//! What may be listed.

use encompute_leakage::Grade;

/// What a listing is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    /// The letter.
    pub grade: Grade,
    /// Whether anything follows the cut.
    pub has_tail: bool,
    /// Whether the card names it: only then was its tail made for this release.
    pub on_card: bool,
    /// Points of accuracy that the release costs.
    pub lost_points: f64,
    /// Points that the plainest tail there is would win under this release, at least.
    pub plain_points: f64,
}

/// Points that a release may cost where the tail was not made for it, and that the plainest tail may be better by where
/// it was.
const LOST_POINTS: f64 = 5.0;

/// Whether it may be listed; if not, or only under a condition, why.
pub fn listing(listing: &Listing) -> (bool, Option<String>) {
    let Listing { grade, has_tail, on_card, lost_points, plain_points } = *listing;
    if grade == Grade::F {
        return (false, None);
    }
    if !has_tail {
        return (false, Some("nothing follows this cut: there is no tail to sell".to_owned()));
    }
    if !on_card && lost_points > LOST_POINTS {
        return (
            false,
            Some(format!("its tail was not trained for this release, which costs {lost_points:.1} points")),
        );
    }
    if on_card && plain_points > LOST_POINTS {
        return (
            false,
            Some(format!(
                "its tail fails under this release: naming the class with the nearest mean is right {plain_points:.1} points more often"
            )),
        );
    }
    (true, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Listing =
        Listing { grade: Grade::B, has_tail: true, on_card: true, lost_points: 12.0, plain_points: -3.0 };

    #[test]
    fn what_grades_f_or_has_no_tail_is_not_listed() {
        assert!(listing(&FINE).0 && listing(&Listing { grade: Grade::D, ..FINE }).0);
        assert!(!listing(&Listing { grade: Grade::F, ..FINE }).0);
        assert!(!listing(&Listing { has_tail: false, ..FINE }).0);
    }

    #[test]
    fn a_tail_that_the_plainest_one_beats_is_not_listed() {
        assert!(listing(&Listing { plain_points: 5.0, ..FINE }).0);
        let (listable, why) = listing(&Listing { plain_points: 5.1, ..FINE });
        assert!(!listable && why.is_some_and(|why| why.contains("5.1 points more often")));
        assert!(listing(&Listing { plain_points: 40.0, on_card: false, lost_points: 1.0, ..FINE }).0);
    }

    #[test]
    fn a_tail_that_was_not_made_for_the_release_may_cost_five_points() {
        assert!(listing(&Listing { on_card: false, lost_points: 5.0, ..FINE }).0);
        assert!(!listing(&Listing { on_card: false, lost_points: 5.1, ..FINE }).0);
    }
}

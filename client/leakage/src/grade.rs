//! One letter for what a release gives away, on the worst attack.

/// What may be listed with which words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Grade {
    /// Hardly more than the answer itself.
    A,
    /// A little more.
    B,
    /// Clearly more.
    C,
    /// An archive that holds the input finds it: to be listed only where buyers consent to that.
    D,
    /// Not to be listed.
    F,
}

impl core::fmt::Display for Grade {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What is graded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Graded {
    /// Similarity of the best attack less that of the better floor.
    pub above_floor: f64,
    /// Whether similarity is that of pictures; it is explained variance otherwise.
    pub pictures: bool,
    /// Share of releases that are named among 10,000 candidates.
    pub named: f64,
    /// Bound on what a release tells, in bits.
    pub bits: f64,
}

/// No release may tell more, in bits: an input is as good as named then.
pub const BITS_LIMIT: f64 = 24.0;
/// The most of a grade: similarity above the floor, of pictures and as explained variance, and the share named.
struct Limit {
    grade: Grade,
    pictures: f64,
    explained: f64,
    named: f64,
}

const LIMITS: [Limit; 3] = [
    Limit { grade: Grade::A, pictures: 0.03, explained: 0.10, named: 0.05 },
    Limit { grade: Grade::B, pictures: 0.08, explained: 0.20, named: 0.20 },
    Limit { grade: Grade::C, pictures: 0.15, explained: 0.30, named: 0.50 },
];

impl Limit {
    fn similarity(&self, graded: &Graded) -> f64 {
        if graded.pictures { self.pictures } else { self.explained }
    }

    fn holds(&self, graded: &Graded) -> bool {
        graded.above_floor <= self.similarity(graded) && graded.named <= self.named
    }
}

/// The letter, and why it is no better.
pub fn grade(graded: &Graded) -> (Grade, String) {
    let bits = graded.bits;
    // What is not a number keeps no promise.
    if bits.is_nan() || bits > BITS_LIMIT {
        return (Grade::F, format!("a release may tell {bits:.1} bits, {BITS_LIMIT} are the most that may be listed"));
    }
    let last = &LIMITS[LIMITS.len() - 1];
    let letter = match LIMITS.iter().find(|limit| limit.holds(graded)) {
        Some(limit) => limit.grade,
        None if graded.above_floor <= last.similarity(graded) => Grade::D,
        None => Grade::F,
    };
    (letter, reason(letter, graded))
}

fn reason(letter: Grade, graded: &Graded) -> String {
    let what = if graded.pictures { "similarity" } else { "explained variance" };
    let Graded { above_floor, named, .. } = *graded;
    let Some(better) = LIMITS.iter().rev().find(|limit| limit.grade < letter) else {
        return format!(
            "{above_floor:.3} above the floor of the answer ({what}), {:.1} % named among 10,000",
            named * 100.0
        );
    };
    let most = better.similarity(graded);
    match above_floor <= most {
        true => format!(
            "{:.1} % are named among 10,000 candidates, {:.0} % is the most of grade {}",
            named * 100.0,
            better.named * 100.0,
            better.grade
        ),
        false => format!(
            "an attack comes {above_floor:.3} above the floor of the answer ({what}), {most:.2} is the most of grade {}",
            better.grade
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(above_floor: f64, named: f64, bits: f64) -> Grade {
        grade(&Graded { above_floor, pictures: true, named, bits }).0
    }

    #[test]
    fn the_worse_of_similarity_and_naming_decides() {
        assert_eq!(letter(0.03, 0.05, 5.0), Grade::A);
        assert_eq!([letter(0.031, 0.01, 5.0), letter(0.01, 0.06, 5.0)], [Grade::B; 2]);
        assert_eq!([letter(0.09, 0.01, 5.0), letter(0.01, 0.3, 5.0)], [Grade::C; 2]);
        assert_eq!([letter(0.15, 0.51, 5.0), letter(0.151, 0.0, 5.0)], [Grade::D, Grade::F]);
    }

    #[test]
    fn what_may_tell_more_than_24_bits_is_not_listed() {
        assert_eq!([letter(0.0, 0.0, 24.1), letter(0.0, 0.0, f64::NAN), letter(f64::NAN, 0.0, 1.0)], [Grade::F; 3]);
    }

    #[test]
    fn a_reason_names_the_number_that_keeps_a_better_letter_away() {
        let (_, reason) = grade(&Graded { above_floor: 0.05, pictures: true, named: 0.01, bits: 5.0 });
        assert_eq!(
            reason,
            "an attack comes 0.050 above the floor of the answer (similarity), 0.03 is the most of grade A"
        );
    }
}

//! The suite judged by cases whose answer is known: what it must find, and what it must not.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_leakage::{
    Assessment, Channel, DecoderBudget, Grade, Kind, Matrix, Plan, Samples, Seed, Subject, SubjectError, assess,
    metrics::{mean_squared_error, peak_signal_to_noise, structural_similarity},
};
use std::{path::Path, sync::LazyLock};

const SIDE: usize = 28;
const PICTURE: Kind = Kind::Picture { channels: 1, height: SIDE, width: SIDE };

/// 2,000 digits that no model has seen: `[2000, 784]` within 0 ..= 1, and their classes.
static DIGITS: LazyLock<(Matrix, Vec<usize>)> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/digits");
    let sheet = image::open(folder.join("held-out.png")).unwrap().to_luma8();
    let labels = std::fs::read_to_string(folder.join("held-out.labels")).unwrap();
    let labels: Vec<usize> = labels.lines().map(|line| line.parse().unwrap()).collect();
    let a_row = sheet.width() as usize / SIDE;
    let pixel = |digit: usize, at: usize| {
        let (x, y) = (digit % a_row * SIDE + at % SIDE, digit / a_row * SIDE + at / SIDE);
        f32::from(sheet.get_pixel(x as u32, y as u32)[0]) / 255.0
    };
    (Matrix::from_fn(labels.len(), SIDE * SIDE, pixel), labels)
});

/// Every fifth digit is a target, the others are what attackers learn from; `head` gives features.
fn digits(head: impl Fn(&[f32]) -> Vec<f32>) -> Subject {
    let part = |targets: bool| {
        let rows: Vec<usize> = (0..DIGITS.1.len()).filter(|row| (row % 5 == 4) == targets).collect();
        let inputs = DIGITS.0.chosen(&rows);
        let features: Vec<Vec<f32>> = inputs.each_row().map(&head).collect();
        let features = Matrix::new(features[0].len(), features.concat()).unwrap();
        Samples { inputs, features, labels: rows.iter().map(|row| DIGITS.1[*row]).collect() }
    };
    Subject { kind: PICTURE, reference: part(false), targets: part(true) }
}

fn quick(decoder: Option<usize>) -> Plan {
    Plan { seed: Seed(1), decoder: decoder.map(|epochs| DecoderBudget { epochs }), repeats: false }
}

fn assessed(subject: &Subject, channel: Channel, plan: &Plan) -> Assessment {
    assess(subject, None, (&channel, plan), &mut |_| {}).unwrap()
}

/// Numbers that look random and are the same for ever.
fn noise(at: usize) -> f64 {
    let mixed = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 29)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
}

/// `outputs` random projections of a digit, of unit norm or so.
fn projected(outputs: usize) -> impl Fn(&[f32]) -> Vec<f32> {
    move |pixels: &[f32]| {
        let sum =
            |output: usize| pixels.iter().enumerate().map(move |(at, x)| f64::from(*x) * noise(output * 784 + at));
        (0..outputs).map(|output| (sum(output).sum::<f64>() / 8.0) as f32).collect()
    }
}

#[test]
fn a_head_that_shows_the_picture_grades_f() {
    let subject = digits(|pixels| pixels.iter().map(|pixel| pixel / 16.0).collect());
    let found = assessed(&subject, Channel { sigma: 0.002, step: 0.002, bits: 10 }, &quick(None));
    let structural = found.attacks[0].likeness.structural.unwrap();
    assert!(found.grade == Grade::F && structural.mean > 0.8, "{} {structural:?}", found.reason);
    assert!(found.bits.posterior > 10.9 && found.naming[2].share > 0.999, "{:?}", found.bits);
}

#[test]
fn a_head_that_shows_nothing_grades_a_and_tells_no_bit() {
    let found = assessed(&digits(|_| vec![0.3; 4]), Channel::reaching(0.1, 5), &quick(Some(2)));
    assert_eq!(found.grade, Grade::A, "{}", found.reason);
    assert!(found.bits.posterior.abs() < 1e-9 && found.above_floor < 0.0, "{found:?}");
    assert!(
        found.naming.iter().all(|naming| naming.share < 2.0 * naming.chance.max(1.0 / 2_000.0)),
        "{:?}",
        found.naming
    );
}

#[test]
fn a_bare_first_convolution_is_rebuilt_at_a_similarity_of_99_hundredths() {
    // Two kernels of 3×3, stride 1: 1,352 outputs of 784 pixels.
    let convolved = |pixels: &[f32]| {
        let mut features = Vec::new();
        for kernel in 0..2 {
            for at in 0..26 * 26 {
                let (y, x) = (at / 26, at % 26);
                let tap = |tap: usize| f64::from(pixels[(y + tap / 3) * SIDE + x + tap % 3]) * noise(kernel * 9 + tap);
                features.push((0..9).map(tap).sum::<f64>() as f32);
            }
        }
        features
    };
    let found = assessed(&digits(convolved), Channel::reaching(0.5, 5), &quick(None));
    assert!(found.unprotected.structural.unwrap().mean >= 0.99, "{:?}", found.unprotected);
}

#[test]
fn the_linear_gaussian_case_matches_its_closed_forms_to_a_hundredth() {
    const INPUTS: usize = 6;
    // Sums of twelve uniform numbers: Gaussian to what 1 % can see. Input i has the deviation 1 + i/4.
    let normal = |at: usize| (0..12).map(|part| noise(at * 12 + part)).sum::<f64>();
    let scale = |input: usize| 1.0 + input as f64 / 4.0;
    let weight = |feature: usize, input: usize| 0.02 * noise(777_000 + feature * INPUTS + input);
    let part = |first: usize| {
        let rows = 20_000;
        let inputs =
            Matrix::from_fn(rows, INPUTS, |row, input| (scale(input) * normal((first + row) * INPUTS + input)) as f32);
        let feature = |row: usize, feature: usize| {
            (0..INPUTS).map(|input| weight(feature, input) * f64::from(inputs.row(row)[input])).sum::<f64>() as f32
        };
        let features = Matrix::from_fn(rows, 2, feature);
        Samples { features, labels: vec![0; rows], inputs }
    };
    let names = (0..INPUTS).map(|input| input.to_string()).collect();
    let subject = Subject { kind: Kind::Attributes { names }, reference: part(0), targets: part(20_000) };
    let sigma = 0.02;
    let found = assessed(&subject, Channel { sigma, step: 1e-4, bits: 14 }, &quick(None));
    // Σ − ΣWᵀ(WΣWᵀ + σ²)⁻¹WΣ and ½ log₂ det(1 + WΣWᵀ/σ²), by hand for two features.
    let gram = |a: usize, b: usize| (0..INPUTS).map(|i| weight(a, i) * weight(b, i) * scale(i).powi(2)).sum::<f64>();
    let (p, q, r) = (gram(0, 0) + sigma * sigma, gram(0, 1), gram(1, 1) + sigma * sigma);
    let determinant = p * r - q * q;
    let left = |input: usize| {
        let (a, b) = (weight(0, input) * scale(input).powi(2), weight(1, input) * scale(input).powi(2));
        scale(input).powi(2) - (a * a * r - 2.0 * a * b * q + b * b * p) / determinant
    };
    let wanted = (0..INPUTS).map(left).sum::<f64>() / INPUTS as f64;
    let mean_squared_error = found.attacks[0].likeness.mean_squared_error;
    assert!((mean_squared_error / wanted - 1.0).abs() < 0.01, "{mean_squared_error} {wanted}");
    let bits = 0.5 * (determinant / sigma.powi(4)).log2();
    assert!((found.bits.gaussian.overall / bits - 1.0).abs() < 0.01, "{:?} {bits}", found.bits);
    // For Gaussian features the bound is the information itself; a thousand releases are good to 5 %.
    assert!((found.bits.posterior / bits - 1.0).abs() < 0.05, "{:?} {bits}", found.bits);
}

#[test]
fn more_noise_never_helps_an_attacker() {
    let subject = digits(projected(12));
    let sigmas = [0.03, 0.1, 0.3, 1.0];
    let found = sigmas.map(|sigma| assessed(&subject, Channel::reaching(sigma, 8), &quick(None)));
    for pair in found.windows(2) {
        for (before, after) in pair[0].attacks.iter().zip(&pair[1].attacks) {
            let error = before.likeness.structural.unwrap().error + after.likeness.structural.unwrap().error;
            assert!(after.above_floor <= before.above_floor + error, "{}: {before:?} {after:?}", before.name);
        }
        assert!(pair[1].bits.posterior < pair[0].bits.posterior && pair[1].bits.at_most < pair[0].bits.at_most);
        assert!(pair[1].naming[2].share <= pair[0].naming[2].share);
    }
}

#[test]
fn a_decoder_rebuilds_what_a_linear_attacker_cannot() {
    // Squares hide the sign from linear maps.
    let subject = digits(|pixels| projected(24)(pixels).iter().map(|sum| sum * sum * 4.0).collect());
    let found = assessed(&subject, Channel::reaching(0.01, 8), &quick(Some(12)));
    let alike = |attack: usize| found.attacks[attack].likeness.structural.unwrap().mean;
    assert_eq!(found.attacks.iter().map(|attack| attack.name).collect::<Vec<_>>(), ["linear", "decoder", "posterior"]);
    assert!(alike(1) > alike(0) + 0.02, "{} {}", alike(1), alike(0));
}

#[test]
fn repeats_with_fresh_noise_tell_more() {
    let plan = Plan { repeats: true, ..quick(None) };
    let found = assessed(&digits(projected(12)), Channel::reaching(0.3, 6), &plan);
    assert_eq!(found.repeats.iter().map(|repeat| repeat.times).collect::<Vec<_>>(), [1, 4, 16, 64]);
    assert!(found.repeats.windows(2).all(|pair| pair[1].bits > pair[0].bits && pair[1].named >= pair[0].named));
    assert!(found.repeats[3].above_floor > found.repeats[0].above_floor + 0.05, "{:?}", found.repeats);
}

#[test]
fn similarities_are_those_of_scikit_image() {
    #[derive(serde::Deserialize)]
    struct Vector {
        pair: [usize; 2],
        change: String,
        ssim: f64,
        mse: f64,
        psnr: f64,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/similarity.json");
    let vectors: Vec<Vector> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(vectors.len() >= 12);
    for Vector { pair: [one, other], change, ssim, mse, psnr } in vectors {
        let row = |at: usize| DIGITS.0.row(at);
        let changed = |at: usize| match change.as_str() {
            "none" => row(other)[at],
            "half" => row(other)[at] * 0.5,
            "negative" => 1.0 - row(other)[at],
            "shifted" => row(other)[at / SIDE * SIDE + (at % SIDE + SIDE - 1) % SIDE],
            "grey" => 0.25,
            unknown => panic!("{unknown}"),
        };
        let picture = |values: Vec<f32>| Matrix::new(784, values).unwrap();
        let (truth, guess) = (picture(row(one).to_vec()), picture((0..784).map(changed).collect()));
        let found = structural_similarity(&PICTURE, &truth, &guess).unwrap()[0];
        let error = mean_squared_error(&truth, &guess);
        let named = format!("{one} {other} {change}: {found} {ssim}");
        assert!((found - ssim).abs() < 1e-6 && (error - mse).abs() < 1e-8, "{named}");
        assert!((peak_signal_to_noise(error) - psnr).abs() < 1e-4, "{named}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_on_every_machine() {
    // Every part takes part: decoder, posterior, repeats. Recorded on x86-64 with AVX-512; what differs elsewhere is a fault.
    let subject = digits(projected(6));
    let plan = Plan { seed: Seed(42), decoder: Some(DecoderBudget { epochs: 2 }), repeats: true };
    let found = assessed(&subject, Channel::reaching(0.2, 5), &plan);
    let numbers = [
        found.attacks[0].likeness.mean_squared_error,
        found.attacks[1].likeness.mean_squared_error,
        found.attacks[2].likeness.mean_squared_error,
        found.bits.posterior,
        found.repeats[3].bits,
    ];
    let recorded = [
        4_588_999_555_983_085_707,
        4_588_947_343_818_377_305,
        4_588_789_177_202_583_906,
        4_615_524_276_290_602_194,
        4_622_354_642_059_433_897,
    ];
    assert_eq!(numbers.map(f64::to_bits), recorded, "{numbers:?}");
}

#[test]
fn what_cannot_be_assessed_is_refused_by_what_it_lacks() {
    let whole = digits(|_| vec![0.3; 4]);
    let refused = |alter: fn(&mut Subject)| {
        let mut subject = whole.clone();
        alter(&mut subject);
        assess(&subject, None, (&Channel::reaching(0.1, 5), &quick(None)), &mut |_| {}).err()
    };
    assert_eq!(refused(|_| {}), None);
    let few = refused(|subject| {
        subject.targets.labels.truncate(15);
        subject.targets.inputs = subject.targets.inputs.chosen(&(0..15).collect::<Vec<_>>());
        subject.targets.features = subject.targets.features.chosen(&(0..15).collect::<Vec<_>>());
    });
    assert_eq!(few, Some(SubjectError::TooFew { part: "held-out part", found: 15, least: 16 }));
    let unlabelled = refused(|subject| subject.reference.labels.truncate(1_599));
    assert_eq!(unlabelled, Some(SubjectError::Sizes { part: "reference" }));
    let infinite = refused(|subject| subject.reference.features.row_mut(2)[1] = f32::NAN);
    assert_eq!(infinite, Some(SubjectError::NotFinite { part: "reference", sample: 3 }));
}

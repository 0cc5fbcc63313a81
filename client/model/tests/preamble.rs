//! Files of users, welcome and not.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_model::preamble::{
    Column, FILE_LIMIT_BYTES, Fit, ImageError, ImagePreamble, InkError, LexiconBlobError, TEXT_LIMIT_BYTES, TableError,
    TablePreamble, TextError, TextPreamble,
};
use encompute_model::{Bench, Preamble, PreambleError, Reading, SentenceEncoder, Tensor};
use encompute_protocol::{Text, wire::Message};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, RgbaImage};
use proptest::prelude::*;
use std::{io::Cursor, path::PathBuf};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn digits() -> Preamble {
    Preamble::Image(ImagePreamble {
        channels: 1,
        height: 28,
        width: 28,
        fit: Fit::InkCentred { box_pixels: 20 },
        scale_numerator: 1,
        scale_denominator: 255,
    })
}

fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn held_out_digits() -> Vec<GrayImage> {
    let sheet = image::open(repository().join("tests/fixtures/digits/held-out.png")).unwrap().to_luma8();
    let corners = (0..sheet.height()).step_by(28).flat_map(|y| (0..sheet.width()).step_by(28).map(move |x| (x, y)));
    corners.map(|(x, y)| image::imageops::crop_imm(&sheet, x, y, 28, 28).to_image()).collect()
}

fn image_error(file: &[u8]) -> ImageError {
    match digits().read(file).err() {
        Some(PreambleError::Image(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Ground is 0, ink is strong, and its centre of mass lies within a pixel of the middle.
fn assert_centred(tensor: &Tensor) {
    let ink = |index: usize| f64::from(tensor.values()[index]);
    let mass: f64 = (0..784).map(ink).sum();
    let across: f64 = (0..784).map(|index| ink(index) * ((index % 28) as f64 + 0.5)).sum::<f64>() / mass;
    let down: f64 = (0..784).map(|index| ink(index) * ((index / 28) as f64 + 0.5)).sum::<f64>() / mass;
    assert!((across - 14.0).abs() <= 1.0 && (down - 14.0).abs() <= 1.0, "{across} {down}");
    assert!([0, 27, 756, 783].iter().all(|corner| tensor.values()[*corner] == 0));
    assert!(tensor.values().iter().any(|value| *value > 200));
}

#[test]
fn a_model_of_three_colours_reads_red_green_and_blue() {
    let of = |channels, fit| ImagePreamble {
        channels,
        height: 8,
        width: 10,
        fit,
        scale_numerator: 1,
        scale_denominator: 255,
    };
    let colour = Preamble::Image(of(3, Fit::Whole));
    let file = png(RgbImage::from_fn(10, 8, |x, y| Rgb([x as u8 * 20, y as u8 * 30, 7])));
    let tensor = colour.read(&file).unwrap();
    assert_eq!(tensor.shape(), [3, 8, 10]);
    let at = |channel: usize, row: usize, column: usize| tensor.values()[(channel * 8 + row) * 10 + column];
    assert_eq!([at(0, 5, 3), at(1, 5, 3), at(2, 5, 3)], [60, 150, 7]);
    // What is transparent lies on white, what is grey is so in all three.
    let clear = colour.read(&png(RgbaImage::from_pixel(10, 8, image::Rgba([200, 0, 0, 51])))).unwrap();
    assert_eq!([clear.values()[0], clear.values()[80], clear.values()[160]], [244, 204, 204]);
    let grey = colour.read(&png(GrayImage::from_pixel(10, 8, Luma([77])))).unwrap();
    assert!(grey.values().iter().all(|value| *value == 77));
    let unsound = [of(2, Fit::Whole), of(4, Fit::Whole), of(3, Fit::InkCentred { box_pixels: 6 })];
    assert!(unsound.into_iter().all(|image| !Preamble::Image(image).is_sound()));
}

#[test]
fn every_held_out_digit_passes_unchanged() {
    let digits_read = held_out_digits();
    assert_eq!(digits_read.len(), 2_000);
    for digit in digits_read {
        let tensor = digits().read(&png(digit.clone())).unwrap();
        assert_eq!(tensor.shape(), [1, 28, 28]);
        assert!(tensor.values() == digit.as_raw().as_slice());
    }
}

#[test]
fn a_grey_digit_saved_in_colour_passes_unchanged() {
    let digit = &held_out_digits()[5];
    let colour = DynamicImage::ImageLuma8(digit.clone()).to_rgb8();
    assert!(digits().read(&png(colour)).unwrap().values() == digit.as_raw().as_slice());
}

#[test]
fn dark_ink_on_light_paper_is_read_like_light_ink_on_dark() {
    for digit in held_out_digits().iter().step_by(100) {
        let light = image::imageops::resize(digit, 560, 420, image::imageops::FilterType::Triangle);
        let mut dark = light.clone();
        image::imageops::invert(&mut dark);
        let (light, dark) = (digits().read(&png(light)).unwrap(), digits().read(&png(dark)).unwrap());
        assert!(light == dark);
        assert_centred(&light);
    }
}

#[test]
fn a_small_mark_in_the_corner_of_a_page_is_brought_to_the_middle() {
    for digit in held_out_digits().iter().step_by(100) {
        let small = image::imageops::resize(digit, 84, 84, image::imageops::FilterType::Triangle);
        let mut page = GrayImage::from_pixel(900, 700, Luma([250]));
        for (x, y, pixel) in small.enumerate_pixels() {
            page.put_pixel(x + 20, y + 590, Luma([250 - pixel[0] / 5 * 4]));
        }
        assert_centred(&digits().read(&png(page)).unwrap());
    }
}

#[test]
fn transparent_pictures_are_read_on_white() {
    let mut picture = RgbaImage::new(64, 64);
    (16..48).for_each(|y| (30..36).for_each(|x| picture.put_pixel(x, y, image::Rgba([0, 0, 0, 255]))));
    let tensor = digits().read(&png(picture)).unwrap();
    assert!(tensor.values()[14 * 28 + 13] > 200 && tensor.values()[0] == 0);
}

#[test]
fn a_single_pixel_is_refused_with_its_size() {
    let error = image_error(&png(GrayImage::new(1, 1)));
    assert!(matches!(error, ImageError::TooSmall { width: 1, height: 1, .. }));
}

#[test]
fn an_empty_page_is_refused() {
    let error = image_error(&png(RgbImage::from_pixel(200, 100, Rgb([240, 238, 230]))));
    assert!(matches!(error, ImageError::Ink(InkError::Faint { found: 0, .. })));
}

#[test]
fn a_damaged_picture_is_refused() {
    let mut file = png(held_out_digits().remove(0));
    file.truncate(60);
    assert!(matches!(image_error(&file), ImageError::Damaged(_)));
}

#[test]
fn a_picture_that_promises_ten_gigapixels_is_refused_before_decoding() {
    let mut file = png(GrayImage::new(28, 28));
    // Width and height of the header, and its checksum.
    file[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    let checksum = crc32(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert!(matches!(image_error(&file), ImageError::TooLarge { width: 100_000, height: 100_000, .. }));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn other_formats_are_refused() {
    assert!(matches!(image_error(b"GIF89a\x01\0\x01\0\0\0\0;"), ImageError::Format));
    assert!(matches!(image_error(b"mean radius,mean texture\n"), ImageError::Format));
    assert!(matches!(image_error(b""), ImageError::Format));
}

#[test]
fn a_file_beyond_the_limit_is_refused_by_its_length() {
    let error = digits().read(&vec![0; FILE_LIMIT_BYTES + 1]).err().unwrap();
    assert!(matches!(error, PreambleError::TooLong { found_bytes, .. } if found_bytes == FILE_LIMIT_BYTES + 1));
}

fn column(name: &str) -> Column {
    Column { name: Text::new(name).unwrap(), lowest: 0.0, highest: 100.0, offset: 10.0, step: 0.25 }
}

fn table() -> Preamble {
    Preamble::Table(TablePreamble { columns: vec![column("radius"), column("area")] })
}

fn table_error(file: &str) -> TableError {
    match table().read(file.as_bytes()).err() {
        Some(PreambleError::Table(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_row_is_put_on_the_grid_in_the_models_order() {
    let tensor = table().read(b"area, radius\r\n12.5, 10.26\r\n").unwrap();
    assert!(tensor.shape() == [1, 1, 2] && tensor.values() == [1, 10]);
}

#[test]
fn a_table_is_read_as_other_programs_write_it() {
    for file in ["\u{feff}\"radius\",\"area\"\r\n\"10.26\",\"12.5\"\r\n", "radius,area\n\n 10.26 , 12.5 \n\n  \n"] {
        assert!(table().read(file.as_bytes()).unwrap().values() == [1, 10], "{file:?}");
    }
}

#[test]
fn values_off_the_grid_take_its_ends() {
    let tensor = table().read(b"radius,area\n0,100\n").unwrap();
    assert!(tensor.values() == [0, 255]);
}

#[test]
fn a_missing_column_is_named() {
    assert_eq!(table_error("radius\n1\n"), TableError::Missing { name: "area".into() });
}

#[test]
fn a_column_too_many_is_named() {
    assert_eq!(table_error("radius,area,name\n1,2,Bob\n"), TableError::Unknown { name: "name".into(), expected: 2 });
    assert_eq!(table_error("radius,area,area\n1,2,3\n"), TableError::Twice { name: "area".into() });
}

#[test]
fn a_cell_that_is_not_a_number_is_named() {
    for cell in ["NaN", "inf", "", "12,5", "1 2"] {
        let file = format!("radius,area\n1,\"{cell}\"\n");
        assert_eq!(table_error(&file), TableError::NotNumber { name: "area".into(), found: cell.into() });
    }
}

#[test]
fn a_value_out_of_range_is_named_with_the_range() {
    let error = table_error("radius,area\n1,100.5\n");
    assert_eq!(error.to_string(), "column `area` holds 100.5, allowed are 0 to 100");
}

#[test]
fn exactly_one_row_is_read() {
    assert_eq!(table_error("radius,area\n"), TableError::Rows { found: 0 });
    assert_eq!(table_error("radius,area\n1,2\n3,4\n"), TableError::Rows { found: 2 });
    assert_eq!(table_error("radius,area\n1\n"), TableError::Width { row: 1, found: 1, expected: 2 });
    assert_eq!(table_error(""), TableError::Empty);
}

/// The tiny encoder's preamble and lexicon.
fn texts() -> (Preamble, Vec<u8>) {
    SentenceEncoder::read(&repository().join("tests/fixtures/sentence-encoder"), 12).unwrap().preamble(&[])
}

fn text_preamble() -> TextPreamble {
    match texts().0 {
        Preamble::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_text_becomes_a_vector_for_each_token_and_a_mark_that_it_is_there() {
    let (preamble, lexicon) = texts();
    let reader = preamble.reader(Some(&lexicon)).unwrap();
    let Reading { tensor, left_out, .. } = reader.read("The heart is clear.\n".as_bytes()).unwrap();
    assert_eq!((tensor.shape(), left_out), ([17, 12, 1], 0));
    let marks: Vec<bool> = tensor.values()[16 * 12..].iter().map(|byte| *byte > 128).collect();
    assert_eq!(marks.iter().filter(|mark| **mark).count(), 7, "five pieces and two ends");
    assert!(marks[..7].iter().all(|mark| *mark));
    for channel in tensor.values().chunks(12) {
        assert!(channel[7..].iter().all(|byte| *byte == 128), "where no token is, there is zero");
    }
    let long = reader.read("the heart ".repeat(20).as_bytes()).unwrap();
    assert_eq!((long.tensor.shape(), long.left_out), ([17, 12, 1], 30));
}

#[test]
fn what_is_no_text_is_refused_by_its_defect() {
    let (preamble, lexicon) = texts();
    let reader = preamble.reader(Some(&lexicon)).unwrap();
    let refused = |file: &[u8]| match reader.read(file).err() {
        Some(PreambleError::Text(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(b"\xff\xfe"), TextError::NotText);
    assert_eq!(refused(b""), TextError::Empty);
    assert_eq!(refused(" \n\t\u{200b}".as_bytes()), TextError::Empty);
    let found_bytes = TEXT_LIMIT_BYTES + 1;
    assert_eq!(refused(&vec![b'a'; found_bytes]), TextError::TooLong { found_bytes, limit_bytes: TEXT_LIMIT_BYTES });
}

#[test]
fn a_lexicon_is_taken_by_length_digest_and_fit() {
    let (preamble, lexicon) = texts();
    let wanted = preamble.wanted_blob().unwrap();
    let refused = |preamble: Preamble, blob: Option<&[u8]>| match preamble.reader(blob).err() {
        Some(PreambleError::Lexicon(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(preamble.clone(), None), LexiconBlobError::Missing { wanted: wanted.digest });
    assert!(matches!(preamble.read(b"the heart"), Err(PreambleError::Lexicon(LexiconBlobError::Missing { .. }))));
    let shorter = &lexicon[1..];
    assert!(
        matches!(refused(preamble.clone(), Some(shorter)), LexiconBlobError::Length { found_bytes, .. } if found_bytes == shorter.len())
    );
    let mut altered = lexicon.clone();
    altered[40] ^= 1;
    assert!(matches!(refused(preamble, Some(&altered)), LexiconBlobError::Other { .. }));
    let wide = Preamble::Text(TextPreamble { width: 15, ..text_preamble() });
    assert_eq!(
        refused(wide, Some(&lexicon)),
        LexiconBlobError::Fit { what: "numbers a vector", found: 16, wanted: 15 }
    );
    let long = Preamble::Text(TextPreamble { tokens: 13, ..text_preamble() });
    assert_eq!(refused(long, Some(&lexicon)), LexiconBlobError::Fit { what: "places", found: 12, wanted: 13 });
}

#[test]
fn preambles_survive_the_wire() {
    for preamble in [digits(), table(), texts().0] {
        assert_eq!(Preamble::from_wire(&preamble.to_wire()).unwrap(), preamble);
    }
}

#[test]
fn a_preamble_that_makes_no_sense_is_told_apart() {
    assert!(digits().is_sound() && table().is_sound());
    let zero_step = Preamble::Table(TablePreamble { columns: vec![Column { step: 0.0, ..column("radius") }] });
    let twice = Preamble::Table(TablePreamble { columns: vec![column("radius"), column("radius")] });
    assert!(!zero_step.is_sound() && !twice.is_sound());
    let text = text_preamble();
    assert!(Preamble::Text(text.clone()).is_sound());
    for unsound in [
        TextPreamble { step: 0.0, ..text.clone() },
        TextPreamble { step: f64::NAN, ..text.clone() },
        TextPreamble { tokens: 2, ..text.clone() },
        TextPreamble { width: 0, ..text.clone() },
        TextPreamble { lexicon_bytes: u32::MAX, ..text },
    ] {
        let unsound = Preamble::Text(unsound);
        assert!(matches!(unsound.reader(Some(&[])).err(), Some(PreambleError::Unsound)));
    }
}

#[test]
fn the_cards_of_the_repository_are_read() {
    for name in ["digits", "breast-cancer"] {
        assert!(Bench::open(&repository().join("scripts/models").join(name)).unwrap().preamble().is_sound());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_picture_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..300) {
        let mut file = png(GrayImage::from_pixel(12, 12, Luma([9])));
        let at = at.min(file.len());
        file.splice(at..(at + bytes.len()).min(file.len()), bytes);
        let _ = digits().read(&file);
    }

    #[test]
    fn no_picture_makes_the_fitting_panic(width in 8u32..40, height in 8u32..40, seed in any::<u64>()) {
        let noise = |x: u32, y: u32| (seed.rotate_left(x * 7 + y * 13).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        let picture = GrayImage::from_fn(width, height, |x, y| Luma([noise(x, y)]));
        let _ = digits().read(&png(picture));
    }

    #[test]
    fn no_strip_makes_the_fitting_panic(width in 8u32..12, height in 500u32..3_000, at in 0u32..500, turned in any::<bool>()) {
        let mut strip = GrayImage::from_pixel(width, height, Luma([220]));
        (at..at + 40).for_each(|y| strip.put_pixel(width / 2, y.min(height - 1), Luma([10])));
        let _ = digits().read(&png(if turned { image::imageops::rotate90(&strip) } else { strip }));
    }

    #[test]
    fn no_text_makes_the_table_reader_panic(text in ".{0,200}") {
        let _ = table().read(text.as_bytes());
    }
}

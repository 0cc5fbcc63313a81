//! Scans: read as pydicom and nibabel read them, and no more of them than pixels.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_model::preamble::{ChosenSlice, Fit, ImageError, ImagePreamble, ScanError, SliceNumber};
use encompute_model::{Preamble, PreambleError, Reading, Tensor};
use std::{error::Error, path::PathBuf};

const NAME: &[u8] = b"CompressedSamples";

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/scans").join(name)).unwrap()
}

fn whole(channels: u8, width: u16, height: u16) -> Preamble {
    let (scale_numerator, scale_denominator) = (1, 255);
    Preamble::Image(ImagePreamble { channels, height, width, fit: Fit::Whole, scale_numerator, scale_denominator })
}

fn read_slice(preamble: &Preamble, file: &[u8], slice: u32) -> Result<Reading, PreambleError> {
    preamble.clone().reader(None).unwrap().read_slice(file, SliceNumber(slice))
}

fn refused(file: &[u8]) -> ScanError {
    match whole(1, 64, 64).read(file).err() {
        Some(PreambleError::Image(ImageError::Scan(error))) => error,
        other => panic!("{other:?}"),
    }
}

/// The tensor's values are the picture's, to one grey: programs round halves each in their own way.
fn assert_shows(tensor: &Tensor, picture: &str) {
    let picture = image::load_from_memory(&fixture(picture)).unwrap();
    let expected: Vec<u8> = match tensor.shape()[0] {
        1 => picture.to_luma8().into_raw(),
        _ => {
            let colours = picture.to_rgb8();
            (0..3).flat_map(|channel| colours.pixels().map(move |pixel| pixel[channel]).collect::<Vec<_>>()).collect()
        }
    };
    assert_eq!(tensor.values().len(), expected.len());
    let apart = tensor.values().iter().zip(&expected).map(|(found, expected)| found.abs_diff(*expected)).max();
    assert!(apart <= Some(1), "{apart:?} greys apart");
}

#[test]
fn slices_are_read_as_pydicom_reads_them() {
    assert_shows(&whole(1, 128, 128).read(&fixture("CT_small.dcm")).unwrap(), "CT_small.png");
    for file in ["MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm"] {
        assert_shows(&whole(1, 64, 64).read(&fixture(file)).unwrap(), "MR_small.png");
    }
    assert_shows(&whole(3, 80, 60).read(&fixture("ExplVR_BigEnd.dcm")).unwrap(), "ExplVR_BigEnd.png");
}

#[test]
fn slices_are_read_as_nibabel_reads_them() {
    assert_shows(&whole(1, 33, 41).read(&fixture("anatomical.nii")).unwrap(), "anatomical.png");
    assert_shows(&whole(1, 17, 21).read(&fixture("functional.nii.gz")).unwrap(), "functional.png");
    let later = read_slice(&whole(1, 17, 21), &fixture("functional.nii.gz"), 17).unwrap();
    assert_shows(&later.tensor, "functional-17.png");
}

#[test]
fn the_middle_slice_is_read_if_none_is_chosen_and_which_it_was_is_said() {
    let reading = whole(1, 33, 41).reader(None).unwrap().read(&fixture("anatomical.nii")).unwrap();
    assert_eq!(reading.slice, Some(ChosenSlice { number: SliceNumber(13), slices: 25 }));
    // Of several volumes, the middle of the first.
    let reading = whole(1, 17, 21).reader(None).unwrap().read(&fixture("functional.nii.gz")).unwrap();
    assert_eq!(reading.slice, Some(ChosenSlice { number: SliceNumber(2), slices: 60 }));
    let only = whole(1, 64, 64).reader(None).unwrap().read(&fixture("MR_small.dcm")).unwrap();
    assert_eq!(only.slice, None);
}

#[test]
fn a_slice_that_is_not_there_is_refused_and_so_is_one_of_a_picture() {
    for wanted in [0, 26, u32::MAX] {
        let refused = read_slice(&whole(1, 33, 41), &fixture("anatomical.nii"), wanted).err();
        let Some(PreambleError::Image(ImageError::Scan(ScanError::NoSlice { wanted: found, slices: 25 }))) = refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!(found, SliceNumber(wanted));
    }
    let picture = read_slice(&whole(1, 64, 64), &fixture("MR_small.png"), 1).err();
    assert!(matches!(picture, Some(PreambleError::Image(ImageError::NotAScan))), "{picture:?}");
}

#[test]
fn packed_pixels_are_read_as_pydicom_reads_them() {
    for file in ["MR_small_RLE.dcm", "MR_small_JPEG_lossless.dcm"] {
        assert_shows(&whole(1, 64, 64).read(&fixture(file)).unwrap(), "MR_small.png");
    }
    assert_shows(&whole(1, 128, 128).read(&fixture("CT_small_JPEG_lossless.dcm")).unwrap(), "CT_small.png");
    for name in ["SC_rgb_jpeg_gdcm", "SC_rgb_jpeg_dcmtk", "SC_rgb_rle_2frame"] {
        let read = whole(3, 100, 100).read(&fixture(&format!("{name}.dcm"))).unwrap();
        assert_shows(&read, &format!("{name}.png"));
    }
    // Red, green and blue, which a decoder left to itself takes for brightness and two differences.
    assert_shows(
        &whole(3, 256, 256).read(&fixture("SC_jpeg_no_color_transform.dcm")).unwrap(),
        "SC_jpeg_no_color_transform.png",
    );
}

#[test]
fn a_packed_frame_is_chosen_like_any_other() {
    let file = fixture("SC_rgb_rle_2frame.dcm");
    let [first, second] = [1, 2].map(|slice| read_slice(&whole(3, 100, 100), &file, slice).unwrap());
    assert_eq!(second.slice, Some(ChosenSlice { number: SliceNumber(2), slices: 2 }));
    // The second is the first in negative.
    let negative: Vec<u8> = second.tensor.values().iter().map(|value| 255 - value).collect();
    assert!(first.tensor.values() == negative);
}

#[test]
fn pixels_that_are_packed_in_another_way_are_refused_by_its_name() {
    for (file, name) in [
        ("MR_small_jpeg_ls_lossless.dcm", "JPEG-LS Lossless Image Compression"),
        ("MR_small_jp2klossless.dcm", "JPEG 2000 Image Compression (Lossless Only)"),
    ] {
        let ScanError::Unread { found, .. } = refused(&fixture(file)) else { panic!("{file}") };
        assert_eq!(found, name);
    }
    assert!(matches!(refused(&fixture("JPGExtended.dcm")), ScanError::Jpeg(_)));
}

/// A file whose pixels lie in pieces, the first of them a table.
fn in_pieces(file: &[u8], change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let tag = [0xe0, 0x7f, 0x10, 0x00];
    let mut at = file.windows(4).rposition(|found| found == tag).unwrap() + 12;
    let (head, mut pieces) = (file[..at].to_vec(), Vec::new());
    while file[at..].starts_with(&[0xfe, 0xff, 0x00, 0xe0]) {
        let length = u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap()) as usize;
        pieces.push(file[at + 8..][..length].to_vec());
        at += 8 + length;
    }
    change(&mut pieces);
    let item = |piece: &Vec<u8>| [&[0xfe, 0xff, 0x00, 0xe0][..], &(piece.len() as u32).to_le_bytes(), piece].concat();
    [head, pieces.iter().flat_map(item).collect(), vec![0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]].concat()
}

#[test]
fn a_frame_may_lie_in_several_pieces_if_a_table_says_so() {
    let file = fixture("MR_small_JPEG_lossless.dcm");
    let halved = in_pieces(&file, |pieces| {
        let rest = pieces[1].split_off(1_000);
        pieces.push(rest);
    });
    assert_shows(&whole(1, 64, 64).read(&halved).unwrap(), "MR_small.png");
    let colours = fixture("SC_rgb_rle_2frame.dcm");
    let thirds = |table: Vec<u8>| {
        in_pieces(&colours, move |pieces| {
            let rest = pieces[2].split_off(100);
            pieces.push(rest);
            pieces[0] = table;
        })
    };
    let mut first = 0;
    in_pieces(&colours, |pieces| first = pieces[1].len() as u32);
    let starts = [0u32.to_le_bytes(), (first + 8).to_le_bytes()].concat();
    let found = read_slice(&whole(3, 100, 100), &thirds(starts), 2).unwrap();
    let expected = read_slice(&whole(3, 100, 100), &colours, 2).unwrap();
    assert!(found.tensor == expected.tensor);
    let untold = read_slice(&whole(3, 100, 100), &thirds(Vec::new()), 2).err();
    let Some(PreambleError::Image(ImageError::Scan(ScanError::Pieces { pieces: 3, frames: 2 }))) = untold else {
        panic!("{untold:?}")
    };
}

#[test]
fn a_scan_that_breaks_off_anywhere_is_refused_in_words_without_a_name() {
    let file = fixture("MR_small.dcm");
    let pixels = file.len() - 2 * 64 * 64;
    // What is cut behind the pixels is missed by nobody.
    let ends = file.windows(4).position(|tag| tag == [0xe0, 0x7f, 0x10, 0x00]).unwrap() + 12 + 2 * 64 * 64;
    for length in (132..pixels).chain((pixels..ends).step_by(97)) {
        assert_nameless(&refused(&file[..length]));
    }
    for packed in ["MR_small_RLE.dcm", "MR_small_JPEG_lossless.dcm"] {
        let file = fixture(packed);
        let pixels = file.windows(4).rposition(|tag| tag == [0xe0, 0x7f, 0x10, 0x00]).unwrap();
        let ends = file.windows(4).rposition(|tag| tag == [0xfe, 0xff, 0xdd, 0xe0]).unwrap();
        (pixels..ends).step_by(41).for_each(|length| assert_nameless(&refused(&file[..length])));
    }
    for length in [348, 400, 40_000] {
        refused(&fixture("anatomical.nii")[..length]);
        refused(&fixture("functional.nii.gz")[..length.min(30_000)]);
    }
}

fn assert_nameless(error: &ScanError) {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        words += &format!(": {next}");
        source = next.source();
    }
    let said = words.as_bytes().windows(NAME.len()).any(|words| words == NAME);
    assert!(!said && words.len() < 400, "{words}");
}

#[test]
fn a_byte_changed_anywhere_makes_no_panic_and_says_no_name() {
    let file = fixture("MR_small_implicit.dcm");
    assert_no_panic(&file, 128..file.len() - 2 * 64 * 64);
    for packed in ["MR_small_RLE.dcm", "MR_small_JPEG_lossless.dcm"] {
        let file = fixture(packed);
        let pixels = file.windows(4).rposition(|tag| tag == [0xe0, 0x7f, 0x10, 0x00]).unwrap();
        assert_no_panic(&file, pixels..file.len());
    }
}

fn assert_no_panic(file: &[u8], changed: core::ops::Range<usize>) {
    for at in changed {
        for value in [0x00, 0x5c, 0x7f, 0xff] {
            let mut altered = file.to_vec();
            altered[at] = value;
            match whole(1, 64, 64).read(&altered) {
                Ok(tensor) => assert_eq!(tensor.values().len(), 64 * 64),
                Err(PreambleError::Image(ImageError::Scan(error))) => assert_nameless(&error),
                Err(error) => assert!(matches!(error, PreambleError::Image(_)), "{error:?}"),
            }
        }
    }
}

#[test]
fn who_was_scanned_makes_no_difference() {
    let file = fixture("MR_small.dcm");
    let places: Vec<usize> = (0..file.len() - NAME.len()).filter(|at| file[*at..].starts_with(NAME)).collect();
    assert!(!places.is_empty());
    let mut other = file.clone();
    places.iter().for_each(|at| other[*at..*at + NAME.len()].copy_from_slice(b"Somebody^Else^^^^"));
    let model = whole(1, 64, 64);
    assert!(model.read(&file).unwrap() == model.read(&other).unwrap());
}

/// A DICOM file, explicit and little endian, of these fields: tag, type, value.
fn dicom(fields: &[(u32, &str, Vec<u8>)]) -> Vec<u8> {
    let mut file = [vec![0; 128], b"DICM".to_vec()].concat();
    let syntax = b"1.2.840.10008.1.2.1\0";
    file.extend([field(0x0002_0000, "UL", &28u32.to_le_bytes()), field(0x0002_0010, "UI", syntax)].concat());
    fields.iter().for_each(|(tag, kind, value)| file.extend(field(*tag, kind, value)));
    file
}

fn field(tag: u32, kind: &str, value: &[u8]) -> Vec<u8> {
    let tag = [((tag >> 16) as u16).to_le_bytes(), (tag as u16).to_le_bytes()].concat();
    let length = match kind {
        "OB" | "OW" | "SQ" => [vec![0; 2], (value.len() as u32).to_le_bytes().to_vec()].concat(),
        _ => (value.len() as u16).to_le_bytes().to_vec(),
    };
    [tag, kind.as_bytes().to_vec(), length, value.to_vec()].concat()
}

fn short(tag: u32, value: u16) -> (u32, &'static str, Vec<u8>) {
    (tag, "US", value.to_le_bytes().to_vec())
}

fn text(tag: u32, kind: &'static str, value: &str) -> (u32, &'static str, Vec<u8>) {
    (tag, kind, value.as_bytes().to_vec())
}

/// 8×8 pixels that count up, and fields that come in front of them or instead of others.
fn counting(bits: u16, others: &[(u32, &'static str, Vec<u8>)]) -> Vec<u8> {
    let pixels: Vec<u8> = match bits {
        8 => (0..64).collect(),
        _ => (0..64u16).flat_map(u16::to_le_bytes).collect(),
    };
    let mut fields = vec![
        short(0x0028_0002, 1),
        text(0x0028_0004, "CS", "MONOCHROME2 "),
        short(0x0028_0010, 8),
        short(0x0028_0011, 8),
        short(0x0028_0100, bits),
        short(0x0028_0101, bits),
        short(0x0028_0102, bits - 1),
        short(0x0028_0103, 0),
        (0x7fe0_0010, "OW", pixels),
    ];
    fields.retain(|(tag, ..)| !others.iter().any(|(other, ..)| other == tag));
    fields.extend(others.to_vec());
    fields.sort_by_key(|(tag, ..)| *tag);
    dicom(&fields)
}

fn greys(file: &[u8]) -> Vec<u8> {
    whole(1, 8, 8).read(file).unwrap().values().to_vec()
}

#[test]
fn bytes_are_taken_as_they_are_and_longer_numbers_fill_the_range() {
    assert_eq!(greys(&counting(8, &[])), (0..64).collect::<Vec<u8>>());
    let wide = greys(&counting(16, &[]));
    assert_eq!([wide[0], wide[21], wide[63]], [0, 85, 255]);
}

#[test]
fn white_may_be_the_least_number() {
    let inverted = greys(&counting(8, &[text(0x0028_0004, "CS", "MONOCHROME1 ")]));
    assert_eq!([inverted[0], inverted[10]], [255, 245]);
}

#[test]
fn a_window_is_the_first_one_stated_and_counts_in_scaled_numbers() {
    // Numbers times two less ten: −10 to 116. From 20 to 60, as the standard has it: centre 40.5, width 41.
    let fields = [
        text(0x0028_1050, "DS", "40.5\\7 "),
        text(0x0028_1051, "DS", "41\\9"),
        text(0x0028_1052, "DS", "-10 "),
        text(0x0028_1053, "DS", "2 "),
    ];
    let shown = greys(&counting(16, &fields));
    assert_eq!([shown[15], shown[25], shown[35], shown[63]], [0, 128, 255, 255]);
    let step = greys(&counting(8, &[text(0x0028_1050, "DS", "32"), text(0x0028_1051, "DS", "1 ")]));
    assert_eq!([step[31], step[32]], [0, 255]);
    let exact = [text(0x0028_1050, "DS", "32"), text(0x0028_1051, "DS", "64"), text(0x0028_1056, "CS", "LINEAR_EXACT")];
    assert_eq!(greys(&counting(8, &exact))[16], 64);
}

#[test]
fn numbers_may_be_signed_and_shorter_than_their_words() {
    let words: Vec<u8> = (0..64u16).flat_map(|at| (0xf000 | ((at * 64) & 0x0fff)).to_le_bytes()).collect();
    let twelve = [short(0x0028_0101, 12), short(0x0028_0102, 11), short(0x0028_0103, 1), (0x7fe0_0010, "OW", words)];
    // Twelve bits with a sign: 32 · 64 = 2048 is the least, 31 · 64 the largest, whatever stands in the four above.
    let shown = greys(&counting(16, &twelve));
    assert_eq!([shown[32], shown[31]], [0, 255]);
}

#[test]
fn colours_lie_pixel_by_pixel_or_plane_by_plane() {
    let with = |planar: u16, pixels: Vec<u8>| {
        let fields = [
            short(0x0028_0002, 3),
            text(0x0028_0004, "CS", "RGB "),
            short(0x0028_0006, planar),
            (0x7fe0_0010, "OW", pixels),
        ];
        whole(3, 8, 8).read(&counting(8, &fields)).unwrap().values().to_vec()
    };
    let planes: Vec<u8> = (0..192).collect();
    let pixels = (0..64).flat_map(|at| [at, at + 64, at + 128]).collect();
    assert_eq!(with(1, planes.clone()), planes);
    assert_eq!(with(0, pixels), planes);
}

#[test]
fn frames_are_slices() {
    let frames = [text(0x0028_0008, "IS", "3 "), (0x7fe0_0010, "OW", (0..192).collect())];
    let file = counting(8, &frames);
    assert_eq!(greys(&file)[0], 64, "the middle one");
    assert_eq!(read_slice(&whole(1, 8, 8), &file, 3).unwrap().tensor.values()[0], 128);
}

#[test]
fn a_small_picture_inside_a_field_is_not_the_scan() {
    let icon =
        [vec![0xfe, 0xff, 0x00, 0xe0], 76u32.to_le_bytes().to_vec(), field(0x7fe0_0010, "OW", &[7; 64])].concat();
    assert_eq!(greys(&counting(8, &[(0x0088_0200, "SQ", icon)])), (0..64).collect::<Vec<u8>>());
}

#[test]
fn what_a_file_may_not_say_is_refused_by_what_it_says() {
    let says = |others: &[(u32, &'static str, Vec<u8>)]| refused(&counting(8, others)).to_string();
    let table = [vec![0xfe, 0xff, 0x00, 0xe0], 0u32.to_le_bytes().to_vec()].concat();
    for (words, fields) in [
        ("photometric interpretation is `PALETTE COLOR, 1 samples", vec![text(0x0028_0004, "CS", "PALETTE COLOR ")]),
        ("its number is `32 of 32 bits", vec![short(0x0028_0100, 32), short(0x0028_0101, 32), short(0x0028_0102, 31)]),
        ("its number is `8 of 8 bits, the highest at 15", vec![short(0x0028_0102, 15)]),
        ("0×8 pixels, 8×8 to 8192×8192 are read", vec![short(0x0028_0011, 0)]),
        ("65535×65535 pixels", vec![short(0x0028_0010, 65_535), short(0x0028_0011, 65_535)]),
        ("pixels have 64 bytes, 137438953408 are needed", vec![text(0x0028_0008, "IS", "2147483647")]),
        ("does not say how many frames", vec![text(0x0028_0008, "IS", "many")]),
        ("does not say how wide", vec![(0x0028_0011, "US", vec![8])]),
        (
            "its window is `SIGMOID, 9 wide`",
            vec![text(0x0028_1050, "DS", "32"), text(0x0028_1051, "DS", "9 "), text(0x0028_1056, "CS", "SIGMOID ")],
        ),
        ("way from numbers to greys is `a table`", vec![(0x0028_3000, "SQ", table)]),
        ("damaged at byte", vec![(0x0008_1140, "SQ", [vec![0xfe, 0xff, 0x0d, 0xe0], vec![0; 4]].concat())]),
    ] {
        let found = says(&fields);
        assert!(found.contains(words), "{found}");
    }
}

#[test]
fn a_field_that_claims_four_gigabytes_is_refused_before_they_are_taken() {
    let mut file = counting(8, &[]);
    let at = file.len() - 64 - 4;
    file[at..at + 4].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
    let error = refused(&file);
    assert!(matches!(error, ScanError::Length { found_bytes: 0xffff_fff0, left_bytes: 64, .. }), "{error}");
}

#[test]
fn a_volume_beyond_the_limit_is_refused_by_its_header() {
    let mut file = fixture("anatomical.nii");
    for (at, side) in [(42, 8_000u16), (44, 8_000), (46, 8_000)] {
        file[at..at + 2].copy_from_slice(&side.to_be_bytes());
    }
    let error = refused(&file);
    assert!(matches!(error, ScanError::Volume { found_bytes: 1_024_000_000_000, .. }), "{error}");
}

#[test]
fn other_packed_files_and_headers_without_a_volume_are_refused() {
    let mut pair = fixture("anatomical.nii");
    pair[344..348].copy_from_slice(b"ni1\0");
    assert!(refused(&pair).to_string().contains("a header without its volume"));
    let packed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], &b"\x03\0"[..], &[0; 8]].concat();
    assert!(matches!(refused(&packed), ScanError::Unpack(_)), "nothing, packed");
}

//! Grey pictures as scanners and archives keep them: DICOM, bare or in run lengths, and NIfTI.

/// What a file of scans is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanFile {
    /// DICOM, uncompressed.
    Bare,
    /// DICOM, RLE Lossless.
    RunLengths,
    /// NIfTI-1 of one slice.
    Nifti,
}

impl ScanFile {
    /// How such a file's name ends.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Bare | Self::RunLengths => "dcm",
            Self::Nifti => "nii",
        }
    }

    /// A picture of bytes, `side` pixels on each side, with a patient's name where the format has a place for it.
    ///
    /// # Panics
    /// If there are not `side · side` pixels, or more than a DICOM file's numbers hold.
    pub fn of(self, pixels: &[u8], side: u16) -> Vec<u8> {
        assert_eq!(pixels.len(), usize::from(side) * usize::from(side));
        match self {
            Self::Nifti => nifti(pixels, side),
            Self::Bare => dicom("1.2.840.10008.1.2.1\0", side, &value("OB", pixels)),
            Self::RunLengths => {
                // One segment, of copied bytes alone.
                let header = [&1u32.to_le_bytes()[..], &64u32.to_le_bytes(), &[0; 56]].concat();
                let runs = pixels.chunks(128).flat_map(|run| [&[run.len() as u8 - 1], run].concat());
                let mut frame = [header, runs.collect()].concat();
                frame.resize(frame.len().next_multiple_of(2), 0);
                let items = [item(0xe000, &[]), item(0xe000, &frame), item(0xe0dd, &[])].concat();
                let undefined = [&b"OB\0\0"[..], &u32::MAX.to_le_bytes(), &items].concat();
                dicom("1.2.840.10008.1.2.5\0", side, &undefined)
            }
        }
    }
}

fn dicom(syntax: &str, side: u16, pixels: &[u8]) -> Vec<u8> {
    let number = |element: u16, number: u16| field(0x0028, element, &value("US", &number.to_le_bytes()));
    let text = |group, element, kind: &str, text: &str| field(group, element, &value(kind, text.as_bytes()));
    let meta = text(0x0002, 0x0010, "UI", syntax);
    let length = u32::try_from(meta.len()).unwrap();
    [
        vec![0; 128],
        b"DICM".to_vec(),
        field(0x0002, 0x0000, &value("UL", &length.to_le_bytes())),
        meta,
        text(0x0010, 0x0010, "PN", "Somebody^Else "),
        number(0x0002, 1),
        text(0x0028, 0x0004, "CS", "MONOCHROME2 "),
        number(0x0010, side),
        number(0x0011, side),
        number(0x0100, 8),
        number(0x0101, 8),
        number(0x0102, 7),
        number(0x0103, 0),
        field(0x7fe0, 0x0010, pixels),
    ]
    .concat()
}

fn field(group: u16, element: u16, value: &[u8]) -> Vec<u8> {
    [&group.to_le_bytes()[..], &element.to_le_bytes(), value].concat()
}

fn value(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let length = match kind {
        "OB" => [&[0, 0][..], &u32::try_from(bytes.len()).unwrap().to_le_bytes()].concat(),
        _ => u16::try_from(bytes.len()).unwrap().to_le_bytes().to_vec(),
    };
    [kind.as_bytes(), &length, bytes].concat()
}

fn item(element: u16, bytes: &[u8]) -> Vec<u8> {
    field(0xfffe, element, &[&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat())
}

/// The second axis points up: the last row comes first.
fn nifti(pixels: &[u8], side: u16) -> Vec<u8> {
    let mut file = vec![0; 352];
    file[..4].copy_from_slice(&348u32.to_le_bytes());
    for (at, number) in [2, side, side, 1, 1, 1, 1, 1].into_iter().enumerate() {
        file[40 + 2 * at..][..2].copy_from_slice(&number.to_le_bytes());
    }
    file[70..72].copy_from_slice(&2u16.to_le_bytes());
    file[72..74].copy_from_slice(&8u16.to_le_bytes());
    file[108..112].copy_from_slice(&352f32.to_le_bytes());
    file[344..348].copy_from_slice(b"n+1\0");
    pixels.chunks(usize::from(side)).rev().for_each(|row| file.extend_from_slice(row));
    file
}

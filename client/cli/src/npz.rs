//! Arrays as numpy keeps them: a zip of one `.npy` each, format version 1.0.

use std::io::{Cursor, Write};
use zip::{CompressionMethod, ZipWriter, result::ZipError, write::SimpleFileOptions};

/// What every `.npy` begins with: its name and its version.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// The header ends at a multiple of this.
const ALIGNMENT: usize = 64;

/// An array: what its numbers are, its sides, and its bytes, little end first.
pub struct Array {
    kind: &'static str,
    sides: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    /// Rows of one length: `[rows, columns]` of `float32`.
    pub fn floats(rows: &[Vec<f32>]) -> Self {
        let sides = vec![rows.len(), rows.first().map_or(0, Vec::len)];
        Self { kind: "<f4", sides, bytes: rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect() }
    }

    /// One side of `int64`.
    pub fn integers(values: impl ExactSizeIterator<Item = i64>) -> Self {
        Self { kind: "<i8", sides: vec![values.len()], bytes: values.flat_map(i64::to_le_bytes).collect() }
    }

    /// One `float64`, without a side.
    pub fn double(value: f64) -> Self {
        Self { kind: "<f8", sides: Vec::new(), bytes: value.to_le_bytes().into() }
    }

    fn npy(&self) -> Vec<u8> {
        // Python writes a tuple of one with a comma.
        let sides: String = self.sides.iter().map(|side| format!("{side}, ")).collect();
        let mut header = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({sides}), }}", self.kind);
        let prefix = MAGIC.len() + size_of::<u16>();
        let padding = (prefix + header.len() + 1).next_multiple_of(ALIGNMENT) - prefix - header.len() - 1;
        header.extend(std::iter::repeat_n(' ', padding).chain(['\n']));
        let length = u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes();
        [MAGIC, &length, header.as_bytes(), &self.bytes].concat()
    }
}

/// The arrays in one file. Nothing of the clock is in it.
///
/// # Errors
/// [`ZipError`] for more than a zip of 4 GiB takes.
pub fn archive(arrays: &[(&str, Array)]) -> Result<Vec<u8>, ZipError> {
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Stored);
    for (name, array) in arrays {
        out.start_file(format!("{name}.npy"), options)?;
        out.write_all(&array.npy())?;
    }
    Ok(out.finish()?.into_inner())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn an_array_reads_back_and_its_numbers_begin_on_a_multiple_of_64() {
        let bytes =
            archive(&[("a", Array::floats(&[vec![1.5, -2.0]])), ("b", Array::integers([7i64].into_iter()))]).unwrap();
        let mut read = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut npy = Vec::new();
        read.by_name("a.npy").unwrap().read_to_end(&mut npy).unwrap();
        assert_eq!((&npy[..8], npy.len()), (MAGIC, 128 + 8));
        let header = String::from_utf8(npy[10..128].to_vec()).unwrap();
        assert!(header.contains("'shape': (1, 2, )") && header.ends_with('\n'), "{header}");
        assert_eq!(&npy[128..], [1.5f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat());
        assert!(read.by_name("b.npy").is_ok());
    }

    #[test]
    fn numpy_reads_what_is_written() {
        let arrays = [
            ("inputs", Array::floats(&[vec![0.25, 1.0, -3.0], vec![4.0, 5.5, 6.0]])),
            ("labels", Array::integers([3i64, -1].into_iter())),
            ("sigma", Array::double(0.15)),
        ];
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&archive(&arrays).unwrap()).unwrap();
        let program = "import sys\ntry:\n import numpy\nexcept ImportError:\n print('none'); sys.exit()\n\
                       a = numpy.load(sys.argv[1])\nprint(a['inputs'].tolist(), a['labels'].tolist(), float(a['sigma']))";
        let ran = std::process::Command::new("python3").args(["-c", program]).arg(file.path()).output();
        // A machine without Python or numpy has the other test.
        let Ok(ran) = ran else { return };
        let said = String::from_utf8(ran.stdout).unwrap();
        let wanted = "[[0.25, 1.0, -3.0], [4.0, 5.5, 6.0]] [3, -1] 0.15";
        assert!(["none", wanted].contains(&said.trim()), "{said} {}", String::from_utf8_lossy(&ran.stderr));
    }
}

//! Envelopes on disk: as they came, with what they came with, so that a restart opens them again.

use encompute_host::files;
use encompute_node::custody::Entrusted;
use encompute_protocol::wire::{DecodeError, Message};
use encompute_protocol::{
    BlobDigest, BlockNumber, Bytes, VersionHash, receipt::CUSTODY_LIMIT_BYTES, receipt::OfferCall,
};
use std::io;
use std::path::{Path, PathBuf};

/// One file.
#[derive(codec::Encode, codec::Decode)]
struct File {
    call: OfferCall,
    manifest: VersionHash,
    parameter_set: encompute_fhe::ParameterSet,
    session_key: [u8; 33],
    until: BlockNumber,
    envelope: Bytes<CUSTODY_LIMIT_BYTES>,
}

impl Message for File {
    const VERSION: u8 = 1;
    const LIMIT_BYTES: usize = CUSTODY_LIMIT_BYTES as usize + 1024;
}

/// An envelope with what it came with, and until when it is kept for an offer.
pub(crate) struct Envelope {
    pub(crate) entrusted: Entrusted,
    pub(crate) until: BlockNumber,
    pub(crate) bytes: Vec<u8>,
}

/// A file that cannot be read or written, or is none of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    #[error("{path}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is damaged")]
    Damaged {
        path: PathBuf,
        #[source]
        source: DecodeError,
    },
}

/// The folder of envelopes.
pub(crate) struct Envelopes(PathBuf);

impl Envelopes {
    pub(crate) fn open(folder: PathBuf) -> Result<Self, KeptError> {
        files::make_folder(&folder).map_err(|source| KeptError::File { path: folder.clone(), source })?;
        Ok(Self(folder))
    }

    fn path(&self, input: &BlobDigest) -> PathBuf {
        self.0.join(input.to_string())
    }

    pub(crate) fn write(&self, envelope: &Envelope) -> Result<(), KeptError> {
        let Entrusted { call, manifest, parameter_set, session_key } = envelope.entrusted;
        let path = self.path(&call.input);
        let failed = |source| KeptError::File { path: path.clone(), source };
        let bytes = Bytes::new(envelope.bytes.clone()).map_err(|error| failed(io::Error::other(error.to_string())))?;
        let file = File { call, manifest, parameter_set, session_key, until: envelope.until, envelope: bytes };
        files::replace(&path, &file.to_wire()).map_err(failed)
    }

    pub(crate) fn remove(&self, input: &BlobDigest) -> Result<(), KeptError> {
        let path = self.path(input);
        match files::remove(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(KeptError::File { path, source }),
            _ => Ok(()),
        }
    }

    /// Every envelope that an earlier start kept.
    pub(crate) fn all(&self) -> Result<Vec<Result<Envelope, KeptError>>, KeptError> {
        let listed = files::list(&self.0).map_err(|source| KeptError::File { path: self.0.clone(), source })?;
        Ok(listed.iter().map(|path| read(path)).collect())
    }
}

fn read(path: &Path) -> Result<Envelope, KeptError> {
    let bytes = files::read_at_most(path, File::LIMIT_BYTES as u64);
    let bytes = bytes.map_err(|source| KeptError::File { path: path.to_owned(), source })?;
    let file = File::from_wire(&bytes).map_err(|source| KeptError::Damaged { path: path.to_owned(), source })?;
    let File { call, manifest, parameter_set, session_key, until, envelope } = file;
    let entrusted = Entrusted { call, manifest, parameter_set, session_key };
    Ok(Envelope { entrusted, until, bytes: envelope.as_slice().to_vec() })
}

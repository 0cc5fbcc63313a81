//! Blobs in a folder or an object store.
//!
//! A blob's place is `ab/abcd…`: its digest in lower-case hexadecimal under its first two digits. A
//! place is only ever made from a [`BlobDigest`], so no name can leave the store.

use crate::blobs::{Blobs, ByteLimit, GetError, PutError, Source};
use blake2::{Blake2b, Digest, digest::consts::U32};
use bytes::Bytes;
use encompute_protocol::BlobDigest;
use futures::{Stream, StreamExt, TryStreamExt};
#[cfg(feature = "s3")]
use object_store::RetryConfig;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart, local::LocalFileSystem, path::Path as Place};
use std::{path::Path, pin::Pin, sync::Arc, time::Duration};

/// How much of an upload to a folder is held in memory.
const FOLDER_CHUNK_BYTES: usize = 256 * 1024;
/// How much of an upload to an object store is held in memory: S3's smallest part.
#[cfg(feature = "s3")]
const PART_BYTES: usize = 5 * 1024 * 1024;
/// How long an object store that fails is asked again before the failure is passed on.
#[cfg(feature = "s3")]
const OBJECTS_WITHIN: Duration = Duration::from_secs(10);
/// Parts of one upload on their way at once.
const PARTS_IN_FLIGHT: usize = 1;
/// After this long nobody is still writing an unfinished file.
const ABANDONED_AFTER: Duration = Duration::from_secs(3_600);

/// Blobs in a folder or an object store. Cheap to clone.
#[derive(Clone)]
pub struct BlobStore {
    objects: Arc<dyn ObjectStore>,
    prefix: Place,
    chunk_bytes: usize,
    /// The folder, where it is one.
    folder: Option<Arc<Path>>,
}

/// Something in a store's folder that this program did not put there.
#[derive(Debug, thiserror::Error)]
#[error("{0} is a symbolic link; what it leads to is no blob")]
struct Link(String);

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// The folder cannot be made or opened.
    #[error("blob folder {folder} cannot be opened")]
    Folder {
        /// Which folder.
        folder: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// A URL that names no store this program can open.
    #[error("blob store {url:?} is not supported; supported are a folder{}", if cfg!(feature = "s3") { " and s3://bucket/prefix" } else { "" })]
    Unsupported {
        /// What was asked for.
        url: String,
    },
    /// The object store's settings are refused.
    #[error("blob store {url:?} cannot be opened")]
    Objects {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: Source,
    },
}

/// A blob on its way in. Nothing is visible before [`Upload::finish`].
pub struct Upload {
    store: BlobStore,
    announced: BlobDigest,
    parts: WriteMultipart,
    hasher: Blake2b<U32>,
}

/// A blob on its way out: its length, and its bytes as they are read. They are not yet checked.
pub struct BlobStream {
    /// Length of the blob.
    pub length_bytes: u64,
    /// Its bytes.
    pub bytes: Pin<Box<dyn Stream<Item = Result<Bytes, Source>> + Send>>,
}

impl BlobStore {
    /// The store in a folder, which is made if it is not there. What is written is on the disk
    /// before it counts as written.
    ///
    /// # Errors
    /// [`OpenStoreError::Folder`].
    pub fn in_folder(folder: &Path) -> Result<Self, OpenStoreError> {
        let refused = |source: Source| OpenStoreError::Folder { folder: folder.display().to_string(), source };
        std::fs::create_dir_all(folder).map_err(|error| refused(error.into()))?;
        let objects = LocalFileSystem::new_with_prefix(folder).map_err(|error| refused(error.into()))?;
        sweep_abandoned(folder);
        let objects = Arc::new(objects.with_fsync(true));
        let folder = Some(Arc::from(folder));
        Ok(Self { objects, prefix: Place::default(), chunk_bytes: FOLDER_CHUNK_BYTES, folder })
    }

    /// Throws a blob out.
    ///
    /// # Errors
    /// What the store says; the blob may be there still.
    pub(crate) async fn discard(&self, digest: BlobDigest) -> Result<(), Source> {
        Ok(self.objects.delete(&self.place(digest)).await?)
    }

    /// The store at a URL: `file:///folder`, a plain path or, with the feature `s3`,
    /// `s3://bucket/prefix` with the usual `AWS_*` variables.
    ///
    /// # Errors
    /// [`OpenStoreError`].
    pub fn at(url: &str) -> Result<Self, OpenStoreError> {
        match url.split_once("://") {
            None => Self::in_folder(Path::new(url)),
            Some(("file", path)) => Self::in_folder(Path::new(path)),
            #[cfg(feature = "s3")]
            Some(("s3", place)) => Self::in_bucket(url, place),
            Some(_) => Err(OpenStoreError::Unsupported { url: url.to_owned() }),
        }
    }

    #[cfg(feature = "s3")]
    fn in_bucket(url: &str, place: &str) -> Result<Self, OpenStoreError> {
        crate::http::install_tls_provider();
        let refused = |source: Source| OpenStoreError::Objects { url: url.to_owned(), source };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        // Whoever asks the gateway waits meanwhile, and asks again by himself.
        let retry = RetryConfig { max_retries: 3, retry_timeout: OBJECTS_WITHIN, ..RetryConfig::default() };
        let builder = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
        let objects = Arc::new(builder.build().map_err(|error| refused(error.into()))?);
        let prefix = Place::parse(prefix).map_err(|error| refused(error.into()))?;
        Ok(Self { objects, prefix, chunk_bytes: PART_BYTES, folder: None })
    }

    /// Begins to take a blob in, piece by piece.
    ///
    /// # Errors
    /// [`PutError::Store`].
    pub async fn upload(&self, announced: BlobDigest) -> Result<Upload, PutError> {
        self.refuse_links(announced).map_err(|source| PutError::Store { digest: announced, source })?;
        let parts = self.objects.put_multipart(&self.place(announced)).await;
        let parts = parts.map_err(|error| PutError::Store { digest: announced, source: error.into() })?;
        let parts = WriteMultipart::new_with_chunk_size(parts, self.chunk_bytes);
        Ok(Upload { store: self.clone(), announced, parts, hasher: Blake2b::new() })
    }

    /// A blob's length and its bytes, which whoever reads them checks.
    ///
    /// # Errors
    /// [`GetError::NotFound`], [`GetError::Store`].
    pub async fn open(&self, digest: BlobDigest) -> Result<BlobStream, GetError> {
        self.refuse_links(digest).map_err(|source| GetError::Store { digest, source })?;
        let found = self.objects.get(&self.place(digest)).await.map_err(|error| get_error(digest, error))?;
        let length_bytes = found.meta.size;
        let bytes = found.into_stream().map_err(Source::from).boxed();
        Ok(BlobStream { length_bytes, bytes })
    }

    /// A blob's length.
    ///
    /// # Errors
    /// [`GetError::NotFound`], [`GetError::Store`].
    pub async fn length(&self, digest: BlobDigest) -> Result<u64, GetError> {
        self.refuse_links(digest).map_err(|source| GetError::Store { digest, source })?;
        let found = self.objects.head(&self.place(digest)).await.map_err(|error| get_error(digest, error))?;
        Ok(found.size)
    }

    /// Bytes of all blobs together.
    ///
    /// # Errors
    /// What the folder or object store says.
    pub async fn used_bytes(&self) -> Result<u64, Source> {
        let add = |sum: u64, found: object_store::ObjectMeta| async move { Ok(sum.saturating_add(found.size)) };
        Ok(self.objects.list(Some(&self.prefix)).try_fold(0, add).await?)
    }

    /// Names of all blobs, in no order. What else lies in the folder is not named.
    ///
    /// # Errors
    /// What the folder or object store says.
    pub async fn list(&self) -> Result<Vec<BlobDigest>, Source> {
        let name = |found: object_store::ObjectMeta| async move {
            let name = found.location.filename().filter(|name| name.len() == 64);
            Ok(name.and_then(|name| name.parse::<BlobDigest>().ok()))
        };
        Ok(self.objects.list(Some(&self.prefix)).try_filter_map(name).try_collect().await?)
    }

    /// Whoever can make links in the folder may not have this program read or write elsewhere by them.
    fn refuse_links(&self, digest: BlobDigest) -> Result<(), Source> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let place = self.place(digest);
        let blob = folder.join(place.as_ref());
        for path in [blob.parent().unwrap_or(folder), blob.as_path()] {
            if std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
                return Err(Link(path.display().to_string()).into());
            }
        }
        Ok(())
    }

    fn place(&self, digest: BlobDigest) -> Place {
        let name = digest.to_string();
        let name = name.trim_start_matches("0x");
        self.prefix.clone().join(&name[..2]).join(name)
    }
}

impl Upload {
    /// The next bytes.
    ///
    /// # Errors
    /// [`PutError::Store`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), PutError> {
        let failed = |source: object_store::Error| PutError::Store { digest: self.announced, source: source.into() };
        self.parts.wait_for_capacity(PARTS_IN_FLIGHT).await.map_err(failed)?;
        self.hasher.update(&bytes);
        self.parts.put(bytes);
        Ok(())
    }

    /// Makes the blob visible, if its bytes have the digest it was announced with. True if it was
    /// not there before.
    ///
    /// # Errors
    /// [`PutError::OtherDigest`], [`PutError::Store`]; nothing is kept then.
    pub async fn finish(self) -> Result<bool, PutError> {
        let announced = self.announced;
        let failed = |error: object_store::Error| PutError::Store { digest: announced, source: error.into() };
        let found = BlobDigest(self.hasher.finalize().into());
        if found != announced {
            self.parts.abort().await.map_err(failed)?;
            return Err(PutError::OtherDigest { announced, found });
        }
        if self.store.length(announced).await.is_ok() {
            self.parts.abort().await.map_err(failed)?;
            return Ok(false);
        }
        self.parts.finish().await.map_err(failed)?;
        Ok(true)
    }

    /// Forgets what came so far.
    pub async fn abandon(self) {
        if let Err(error) = self.parts.abort().await {
            tracing::warn!(digest = %self.announced, %error, "unfinished blob is left behind");
        }
    }
}

impl Blobs for BlobStore {
    async fn put(&self, bytes: Bytes) -> Result<BlobDigest, PutError> {
        let digest = BlobDigest::of(&bytes);
        if self.length(digest).await.is_ok() {
            return Ok(digest);
        }
        self.refuse_links(digest).map_err(|source| PutError::Store { digest, source })?;
        let kept = self.objects.put(&self.place(digest), bytes.into()).await;
        kept.map_err(|error| PutError::Store { digest, source: error.into() })?;
        Ok(digest)
    }

    async fn get(&self, digest: BlobDigest, limit: ByteLimit) -> Result<Bytes, GetError> {
        let mut blob = self.open(digest).await?;
        if blob.length_bytes > limit.0 {
            return Err(GetError::TooLarge { digest, found_bytes: blob.length_bytes, limit_bytes: limit });
        }
        // No more than `length_bytes` come: the store reads that range.
        let mut bytes = Vec::with_capacity(blob.length_bytes as usize);
        while let Some(chunk) = blob.bytes.next().await {
            bytes.extend_from_slice(&chunk.map_err(|source| GetError::Store { digest, source })?);
        }
        match BlobDigest::of(&bytes) {
            found if found == digest => Ok(bytes.into()),
            found => Err(GetError::Damaged { digest, found }),
        }
    }

    async fn has(&self, digest: BlobDigest) -> Result<bool, GetError> {
        match self.length(digest).await {
            Ok(_) => Ok(true),
            Err(GetError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn get_error(digest: BlobDigest, error: object_store::Error) -> GetError {
    match error {
        object_store::Error::NotFound { .. } => GetError::NotFound { digest },
        error => GetError::Store { digest, source: error.into() },
    }
}

/// Removes what a killed process left unfinished: files called `…#1`, an hour old or more.
fn sweep_abandoned(folder: &Path) {
    let shelves = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = shelves.flat_map(|shelf| std::fs::read_dir(shelf.path()).into_iter().flatten().flatten());
    for file in files.filter(|file| file.file_name().to_string_lossy().contains('#')) {
        let age = file.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED_AFTER) && std::fs::remove_file(file.path()).is_ok() {
            tracing::info!(file = %file.path().display(), "removed an unfinished blob");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const LIMIT: ByteLimit = ByteLimit(1 << 20);

    fn store() -> (tempfile::TempDir, BlobStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::in_folder(folder.path()).unwrap();
        (folder, store)
    }

    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        let shelves = std::fs::read_dir(folder).unwrap().flatten();
        shelves.flat_map(|shelf| std::fs::read_dir(shelf.path()).unwrap().flatten()).map(|file| file.path()).collect()
    }

    #[tokio::test]
    async fn a_blob_is_kept_once_under_its_digest() {
        let (folder, store) = store();
        let digest = store.put("blob".into()).await.unwrap();
        assert_eq!(store.put("blob".into()).await.unwrap(), digest);
        assert_eq!(digest, BlobDigest::of(b"blob"));
        let name = digest.to_string().trim_start_matches("0x").to_owned();
        assert_eq!(files(folder.path()), [folder.path().join(&name[..2]).join(&name)]);
        assert_eq!(store.used_bytes().await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_blob_altered_on_the_disk_is_damaged_not_served() {
        let (folder, store) = store();
        let digest = store.put("blob".into()).await.unwrap();
        std::fs::write(&files(folder.path())[0], b"blot").unwrap();
        let found = BlobDigest::of(b"blot");
        let got = store.get(digest, LIMIT).await;
        assert!(matches!(got, Err(GetError::Damaged { found: said, .. }) if said == found), "{got:?}");
    }

    #[tokio::test]
    async fn a_blob_over_the_callers_limit_is_not_read() {
        let (_folder, store) = store();
        let digest = store.put(vec![0; 100].into()).await.unwrap();
        let got = store.get(digest, ByteLimit(99)).await;
        assert!(matches!(got, Err(GetError::TooLarge { found_bytes: 100, .. })), "{got:?}");
        assert_eq!(store.get(digest, ByteLimit(100)).await.unwrap().len(), 100);
    }

    #[tokio::test]
    async fn a_blob_that_is_not_there_is_not_found() {
        let (_folder, store) = store();
        let digest = BlobDigest([1; 32]);
        assert!(matches!(store.get(digest, LIMIT).await, Err(GetError::NotFound { .. })));
        assert!(!store.has(digest).await.unwrap());
    }

    #[tokio::test]
    async fn an_upload_of_other_bytes_than_announced_leaves_nothing() {
        let (folder, store) = store();
        let mut upload = store.upload(BlobDigest::of(b"this")).await.unwrap();
        upload.write("that".into()).await.unwrap();
        assert!(matches!(upload.finish().await, Err(PutError::OtherDigest { .. })));
        assert!(files(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn an_upload_in_pieces_is_visible_only_when_finished() {
        let (folder, store) = store();
        let bytes = Bytes::from(vec![7; 3 * FOLDER_CHUNK_BYTES + 5]);
        let digest = BlobDigest::of(&bytes);
        let mut upload = store.upload(digest).await.unwrap();
        for piece in bytes.chunks(100_000) {
            upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
            assert!(!store.has(digest).await.unwrap());
        }
        assert!(upload.finish().await.unwrap());
        assert_eq!(store.get(digest, LIMIT).await.unwrap(), bytes);
        assert_eq!(files(folder.path()).len(), 1);
    }

    #[tokio::test]
    async fn an_abandoned_upload_leaves_nothing() {
        let (folder, store) = store();
        let mut upload = store.upload(BlobDigest([1; 32])).await.unwrap();
        upload.write(vec![0; 2 * FOLDER_CHUNK_BYTES].into()).await.unwrap();
        upload.abandon().await;
        assert!(files(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn links_in_the_folder_lead_nowhere() {
        let (folder, store) = store();
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("secret");
        std::fs::write(&secret, b"secret").unwrap();
        let digest = BlobDigest::of(b"secret");
        let name = digest.to_string().trim_start_matches("0x").to_owned();
        let shelf = folder.path().join(&name[..2]);

        // A blob that is a link to the very bytes it should have.
        std::fs::create_dir(&shelf).unwrap();
        std::os::unix::fs::symlink(&secret, shelf.join(&name)).unwrap();
        assert!(matches!(store.get(digest, LIMIT).await, Err(GetError::Store { .. })));
        assert!(store.has(digest).await.is_err());
        assert!(matches!(store.put("secret".into()).await, Err(PutError::Store { .. })));

        // A shelf that is a link, and one that leads round in a circle.
        std::fs::remove_dir_all(&shelf).unwrap();
        std::os::unix::fs::symlink(outside.path(), &shelf).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("round")).unwrap();
        assert!(store.upload(digest).await.is_err());
        assert!(matches!(store.put("secret".into()).await, Err(PutError::Store { .. })));
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn blobs_are_listed_and_removed_by_name_and_other_files_are_left_alone() {
        let (folder, store) = store();
        let (one, two) = (store.put("one".into()).await.unwrap(), store.put("two".into()).await.unwrap());
        std::fs::write(folder.path().join("README"), b"not a blob").unwrap();
        let mut listed = store.list().await.unwrap();
        listed.sort();
        let mut both = [one, two];
        both.sort();
        assert_eq!(listed, both);
        store.discard(one).await.unwrap();
        assert_eq!(store.list().await.unwrap(), [two]);
        assert!(folder.path().join("README").exists());
    }

    #[test]
    fn unfinished_files_of_a_killed_process_are_swept_when_old() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = folder.path().join("ab");
        std::fs::create_dir(&shelf).unwrap();
        let (old, young, whole) = (shelf.join("ab01#1"), shelf.join("ab02#1"), shelf.join("ab03"));
        for file in [&old, &young, &whole] {
            std::fs::write(file, b"x").unwrap();
        }
        let long_ago = std::time::SystemTime::now() - 2 * ABANDONED_AFTER;
        for file in [&old, &whole] {
            std::fs::File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
        }
        BlobStore::in_folder(folder.path()).unwrap();
        assert_eq!((old.exists(), young.exists(), whole.exists()), (false, true, true));
    }

    #[test]
    fn a_store_that_is_no_folder_says_what_is_supported() {
        let Err(error) = BlobStore::at("gopher://x") else { panic!("opened") };
        assert!(error.to_string().contains("supported are a folder"), "{error}");
    }
}

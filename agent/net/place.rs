//! Where a secret is: here, or in a file that is read each time.

use std::path::PathBuf;

use crate::Secret;

/// Longest file that is read as a secret: a chain of certificates fits.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Here(Secret),
    File(PathBuf),
}

impl Default for Place {
    fn default() -> Self {
        Self::Here(Secret::default())
    }
}

impl Place {
    /// Files are read each time, because mounted secrets are exchanged under a running process.
    ///
    /// # Errors
    /// The file cannot be read, or holds nothing.
    pub async fn read(&self) -> Result<Secret, String> {
        match self {
            Self::Here(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let failed = |error| format!("reading {}: {error}", path.display());
                let facts = tokio::fs::metadata(path).await.map_err(failed)?;
                if facts.len() > FILE_BYTES_MAX {
                    return Err(format!("{} is too long for a secret", path.display()));
                }
                let text = tokio::fs::read_to_string(path).await.map_err(failed)?;
                match text.trim() {
                    "" => Err(format!("{} is empty", path.display())),
                    secret => Ok(Secret::plain(secret)),
                }
            }
        }
    }
}

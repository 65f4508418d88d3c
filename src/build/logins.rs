//! Logins for registries, from where podman and docker keep them.

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::error::{command, io};
use super::{BuildError, Session};
use crate::model::Reference;
use crate::oci::registry::auth::{self, AuthEnvironment, Credentials, Login};
use crate::sys::{Cmd, dirs, env};

/// The login for an image; none where no file has one.
pub(super) fn find(session: &Session, image: &Reference) -> Result<Credentials, BuildError> {
    let environment = AuthEnvironment {
        registry_auth_file: env::REGISTRY_AUTH_FILE.get(),
        xdg_runtime_dir: env::XDG_RUNTIME_DIR.get(),
        docker_config: env::DOCKER_CONFIG.get(),
        home: env::HOME.get(),
    };
    for path in auth::candidates(&environment) {
        if let Some(login) = look_into(Utf8Path::new(&path), image, environment.registry_auth_file.is_some())? {
            return credentials(session, login);
        }
    }
    Ok(Credentials::Anonymous)
}

fn look_into(path: &Utf8Path, image: &Reference, required: bool) -> Result<Option<Login>, BuildError> {
    if !required && !dirs::exists(path) {
        return Ok(None);
    }
    let parent = path.parent().unwrap_or(Utf8Path::new("/"));
    let dir = dirs::open(parent).map_err(io("opening", parent))?;
    let text = dir.read(path.file_name().unwrap_or_default()).map_err(io("reading", path))?;
    let failed = |source| BuildError::Login { path: Utf8PathBuf::from(path), source };
    auth::parse_auth_file(&text).map_err(failed)?.lookup(image).map_err(failed)
}

fn credentials(session: &Session, login: Login) -> Result<Credentials, BuildError> {
    match login {
        Login::Credentials(credentials) => Ok(credentials),
        Login::Helper { program, server } => {
            let cmd = Cmd::new(program).arg("get").stdin(server);
            let reply = session.runner.read(&cmd).map_err(command("asking a credential helper"))?;
            auth::parse_helper_reply(reply.as_bytes())
                .map_err(|source| BuildError::Login { path: "credential helper".into(), source })
        }
    }
}

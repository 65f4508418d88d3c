//! What a program may do that its caller may not.

use std::fmt;

use crate::oci::tree::Node;

/// Linux's capabilities in the order of their numbers (`include/uapi/linux/capability.h`).
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The privileges of a program's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Privilege {
    /// The user it runs as.
    user: Option<u32>,
    /// The group it runs as.
    group: Option<u32>,
    /// The attribute `security.capability`.
    capabilities: Option<Vec<u8>>,
}

impl Privilege {
    /// Those of a file; `None` when it has none, or is no regular file.
    pub(super) fn of(node: &Node) -> Option<Self> {
        node.content()?;
        let metadata = node.metadata();
        let set = |bit, id| (metadata.mode & bit != 0).then_some(id);
        let privilege = Self {
            user: set(0o4000, metadata.uid),
            // Without the group's execute bit, set-group-ID once meant mandatory locking; Linux gives nothing.
            group: set(0o2000, metadata.gid).filter(|_| metadata.mode & 0o0010 != 0),
            capabilities: metadata.xattrs.get(b"security.capability").map(<[u8]>::to_vec),
        };
        let any = privilege.user.is_some() || privilege.group.is_some() || privilege.capabilities.is_some();
        any.then_some(privilege)
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.map(|user| format!("set-user-ID for user {user}"));
        let group = self.group.map(|group| format!("set-group-ID for group {group}"));
        let capabilities = self.capabilities.as_deref().map(|value| format!("capable of {}", names(value)));
        let list: Vec<_> = [user, group, capabilities].into_iter().flatten().collect();
        f.write_str(&list.join(", "))
    }
}

/// Names of the permitted capabilities in the attribute: a word of flags, then pairs of words for permitted and
/// inheritable ones, 32 bits at a time (capabilities(7), `struct vfs_cap_data`).
fn names(value: &[u8]) -> String {
    let word = |index: usize| {
        let bytes = value.get(4 * index..4 * index + 4)?.try_into().ok()?;
        Some(u64::from(u32::from_le_bytes(bytes)))
    };
    let permitted = word(1).unwrap_or(0) | word(3).unwrap_or(0) << 32;
    let named = (0..64).filter(|bit| permitted >> bit & 1 == 1).map(|bit| match CAPABILITIES.get(bit) {
        Some(name) => (*name).to_owned(),
        None => format!("capability {bit}"),
    });
    let list: Vec<_> = named.collect();
    if list.is_empty() { "nothing".to_owned() } else { list.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn capabilities_have_names() {
        let value = |low: u32, high: u32| {
            [0x0200_0001u32, low, 0, high, 0].into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>()
        };
        for (value, expected) in [
            (value(1 << 13, 0), "net_raw"),
            (value(1 << 12 | 1, 1 << 7), "chown, net_admin, bpf"),
            (value(0, 1 << 31), "capability 63"),
            (value(0, 0), "nothing"),
            (b"\x01\x00\x00".to_vec(), "nothing"),
        ] {
            assert_eq!(names(&value), expected);
        }
    }
}

//! Partition types.

use std::fmt;

use uuid::{Uuid, uuid};

use crate::model::Machine;

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartitionType {
    /// EFI system partition.
    Esp,
    /// Root file system of a machine of this architecture, found without being named on a command line.
    Root(Machine),
    /// Something else.
    Other(Uuid),
}

/// EFI system partition (UEFI specification, 5.3.3).
const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");

/// Types that are not written here but met on disks of others, for listings.
const MET: [(Uuid, &str); 6] = [
    (uuid!("21686148-6449-6e6f-744e-656564454649"), "BIOS boot"),
    (uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"), "extended boot loader"),
    (uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"), "Linux file system"),
    (uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"), "Linux swap"),
    (uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d"), "Linux variable data"),
    (uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"), "Microsoft basic data"),
];

/// Root partitions as the Discoverable Partitions Specification lists them.
const fn root(machine: Machine) -> Uuid {
    match machine {
        Machine::X86_64 => uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
        Machine::Aarch64 => uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"),
        Machine::Riscv64 => uuid!("72ec70a6-cf74-40e6-bd49-4bda08e8f224"),
        Machine::Ppc64le => uuid!("c31c45e6-3f39-412e-80fb-4809c4980599"),
        Machine::S390x => uuid!("5eead9a9-fe09-4a1e-a1d7-520d00531306"),
    }
}

impl PartitionType {
    /// The type with this GUID.
    pub fn of_guid(guid: Uuid) -> Self {
        if guid == ESP {
            return Self::Esp;
        }
        let machine = Machine::ALL.into_iter().find(|machine| root(*machine) == guid);
        machine.map_or(Self::Other(guid), Self::Root)
    }

    /// Its GUID.
    pub const fn guid(self) -> Uuid {
        match self {
            Self::Esp => ESP,
            Self::Root(machine) => root(machine),
            Self::Other(guid) => guid,
        }
    }
}

impl fmt::Display for PartitionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Esp => f.write_str("EFI system"),
            Self::Root(machine) => write!(f, "root ({machine})"),
            Self::Other(guid) => match MET.iter().find(|(met, _)| met == guid) {
                Some((_, name)) => f.write_str(name),
                None => guid.fmt(f),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_known_by_its_guid() {
        let roots = Machine::ALL.map(PartitionType::Root);
        let swap = PartitionType::Other(uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"));
        for kind in roots.into_iter().chain([PartitionType::Esp, swap]) {
            assert_eq!(PartitionType::of_guid(kind.guid()), kind);
        }
        assert_eq!(swap.to_string(), "Linux swap");
        assert_eq!(PartitionType::Root(Machine::S390x).to_string(), "root (s390x)");
        let unknown = uuid!("00000000-0000-0000-0000-000000000001");
        assert_eq!(PartitionType::Other(unknown).to_string(), unknown.to_string());
    }
}

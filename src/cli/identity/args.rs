//! The arguments of the verbs about users, groups, grants, sessions and tokens.
//!
//! Only shapes and words; nothing here acts. No flag takes a new password: it would stand in the list of
//! processes.

use super::super::remote_args::RemoteFlags;
use auth::policy::Permission;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The verbs about who may do what.
#[derive(Debug, Subcommand)]
pub(crate) enum IdentityVerb {
    /// Administer the users.
    Users(UsersArgs),
    /// Administer the groups.
    Groups(GroupsArgs),
    /// Administer who may do what with a bucket or a stream.
    Grants(GrantsArgs),
    /// Show or end a session.
    Session(SessionArgs),
    /// Issue, read and rotate what sessions are made of.
    Token(TokenArgs),
    /// Get a ticket: a token for one use in an address.
    Ticket(TicketArgs),
}

/// `millrace users`.
#[derive(Debug, Args)]
#[command(after_help = "\
Needs the permission `adminusers`, but for what concerns oneself (passwd, show).

Examples:
  millrace users add anna -u admin               asks for the password of anna, twice
  millrace users list -u admin
  millrace users passwd -u anna                  one's own
  millrace users passwd anna -u admin            somebody else's")]
pub(crate) struct UsersArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: UsersVerb,
}

/// The verbs of `millrace users`.
#[derive(Debug, Subcommand)]
pub(crate) enum UsersVerb {
    /// List the users, a name a line.
    List(ListRolesArgs),
    /// Add a user, who may log in and owns a bucket of the same name.
    Add(AddUserArgs),
    /// Set a password; sessions that have begun go on.
    Passwd(PasswdArgs),
    /// Put a user into these groups and no others.
    Set(SetGroupsArgs),
    /// Delete a user; their sessions end at once.
    Delete(RoleArgs),
    /// Show a user's groups, and for administrators the grants.
    Show(RoleArgs),
}

/// `millrace groups`.
#[derive(Debug, Args)]
#[command(after_help = "\
Needs the permission `adminusers`. A grant to a group holds for its members, and for the members of groups
that are in it. There are two from the first start on: g-authenticated (every user of `users add`), g-admin.

Examples:
  millrace groups add sensors -u admin
  millrace users set probe7 --group g-authenticated --group sensors -u admin
  millrace grants add sensors put iot -u admin")]
pub(crate) struct GroupsArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: GroupsVerb,
}

/// The verbs of `millrace groups`.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupsVerb {
    /// List the groups, a name a line.
    List(ListRolesArgs),
    /// Add a group.
    Add(SetGroupsArgs),
    /// Put a group into these groups and no others.
    Set(SetGroupsArgs),
    /// Delete a group; what was granted to it ends for its members.
    Delete(RoleArgs),
    /// Show a group's groups and grants.
    Show(RoleArgs),
}

/// `list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  millrace users list -u admin --json")]
pub(crate) struct ListRolesArgs {
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `delete` and `show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  millrace users show anna -u admin")]
pub(crate) struct RoleArgs {
    /// The name.
    pub(crate) name: String,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `users add`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace users add anna -u admin
  pwgen 20 1 | tee anna.password | millrace users add anna -u admin --new-password-file -
  millrace users add probe7 -u admin --new-password-file p7 --group g-authenticated --group sensors")]
pub(crate) struct AddUserArgs {
    /// The new user's name.
    pub(crate) name: String,
    /// The new password.
    #[command(flatten)]
    pub(crate) password: NewPasswordArgs,
    /// In this group (may be repeated) and without a bucket; without it: g-authenticated, and a bucket.
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `users passwd`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace users passwd -u anna
  millrace users passwd anna -u admin --new-password-file anna.password")]
pub(crate) struct PasswdArgs {
    /// Whose [default: the user who logs in].
    pub(crate) name: Option<String>,
    /// The new password.
    #[command(flatten)]
    pub(crate) password: NewPasswordArgs,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// Where a new password comes from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct NewPasswordArgs {
    /// A file whose first line is the new password, or - for standard input; without it, a terminal is asked.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) new_password_file: Option<String>,
}

/// `users set`, `groups add` and `groups set`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  millrace users set probe7 --group g-authenticated --group sensors -u admin"
)]
pub(crate) struct SetGroupsArgs {
    /// The name.
    pub(crate) name: String,
    /// A group that it is in (may be repeated); without any, it is in none.
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `millrace grants`.
#[derive(Debug, Args)]
#[command(after_help = "\
A grant lets a role do something with a bucket and all its streams, or with one stream; the stream may be a
glob such as 'house1/*' or 'house1/**'. The role is a user, a group, or '*' for everybody, also who is not
logged in. The bucket `any` is every bucket. Whoever has `grant` there may look and change.

Permissions: get (read, listen), put (append, patch), delete (delete, trim, settings), list (streams of the
bucket; on `any` the buckets), grant (grants), adminusers (users and groups; on `any` only).

Examples:
  millrace grants add anna get,put iot -u admin
  millrace grants add '*' get iot 'public/**' -u admin
  millrace grants add watchers get any -u admin
  millrace grants remove anna put iot -u admin
  millrace grants list iot -u admin")]
pub(crate) struct GrantsArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: GrantsVerb,
}

/// The verbs of `millrace grants`.
#[derive(Debug, Subcommand)]
pub(crate) enum GrantsVerb {
    /// List what was granted on a bucket, or on a stream itself.
    List(ListGrantsArgs),
    /// Grant; what was granted before stays.
    Add(ChangeGrantArgs),
    /// Take back; refused from the next request on, also on connections that are open.
    Remove(ChangeGrantArgs),
}

/// What a grant is about.
#[derive(Clone, Debug, Args)]
pub(crate) struct ResourceArgs {
    /// The bucket; `any` is every bucket.
    pub(crate) bucket: String,
    /// The stream, or a glob; without it, the bucket with all its streams.
    pub(crate) stream: Option<String>,
}

/// `grants list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  millrace grants list iot kitchen -u admin")]
pub(crate) struct ListGrantsArgs {
    /// Where.
    #[command(flatten)]
    pub(crate) resource: ResourceArgs,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `grants add` and `grants remove`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace grants add anna get,put iot -u admin
  millrace grants remove '*' get any -u admin")]
pub(crate) struct ChangeGrantArgs {
    /// A user, a group, or '*' for everybody.
    pub(crate) role: String,
    /// One of get, put, delete, list, grant and adminusers, or several with commas between.
    #[arg(value_name = "PERMISSION", value_parser = parse_permissions)]
    pub(crate) permissions: PermissionList,
    /// Where.
    #[command(flatten)]
    pub(crate) resource: ResourceArgs,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// Permissions as the command line names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PermissionList(pub(crate) Vec<Permission>);

fn parse_permissions(text: &str) -> Result<PermissionList, String> {
    let one = |name: &str| {
        Permission::parse(name).ok_or_else(|| {
            let known = Permission::ALL.map(Permission::name).join(", ");
            format!("{name:?} is no permission; there are {known}")
        })
    };
    text.split(',').map(one).collect::<Result<_, _>>().map(PermissionList)
}

/// `millrace token`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  export MILLRACE_TOKEN=$(millrace token issue -u anna)
  millrace token inspect \"$MILLRACE_TOKEN\"
  millrace token rotate --data /var/lib/millrace")]
pub(crate) struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: TokenVerb,
}

/// The verbs of `millrace token`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Log in and print the token; how long it lives is `auth.session_ms` of the server.
    Issue(IssueArgs),
    /// Show what stands in a token, without a server and without checking its signature.
    Inspect(InspectTokenArgs),
    /// Put a new secret in front of those that a server signs and verifies tokens with.
    Rotate(RotateArgs),
}

/// `token issue`.
#[derive(Debug, Args)]
#[command(after_help = "\
The token is as good as the password until its time is over, or `millrace session end` ends it. It is not kept
for the next call.

Example:
  millrace token issue -u probe7 --password-file p7 > p7.token")]
pub(crate) struct IssueArgs {
    /// Which server, and who.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `token inspect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace token inspect < p7.token
  millrace token inspect \"$MILLRACE_TOKEN\" --json | jq .expires")]
pub(crate) struct InspectTokenArgs {
    /// The token, or - for standard input.
    #[arg(value_name = "TOKEN|-", default_value = "-", hide_default_value = true)]
    pub(crate) token: String,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `token rotate`.
#[derive(Debug, Args)]
#[command(after_help = "\
New tokens are signed with the new secret as soon as the server reads the file: on SIGHUP, or when it starts.
Tokens of the secrets that are kept stay good until their time is over; those of the others are refused then.
To end all sessions at once: --keep 0.

Example:
  millrace token rotate --data /var/lib/millrace && kill -HUP \"$(pidof millrace)\"")]
pub(crate) struct RotateArgs {
    /// The server's data directory, which holds the file `secret`.
    #[arg(long, value_name = "DIR", required_unless_present = "file")]
    pub(crate) data: Option<PathBuf>,
    /// The file itself, where `auth.secret_file` names one.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub(crate) file: Option<PathBuf>,
    /// So many of the old secrets stay good, the newest ones.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=15))]
    pub(crate) keep: u64,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `millrace session`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace session show -u anna
  millrace session end -u anna")]
pub(crate) struct SessionArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: SessionVerb,
}

/// The verbs of `millrace session`.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionVerb {
    /// Show who one is to the server, and until when.
    Show(SessionRemoteArgs),
    /// End the session everywhere, and forget it here.
    End(SessionRemoteArgs),
}

/// `session show`, `session end` and `ticket`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  millrace session show -t \"$MILLRACE_TOKEN\"")]
pub(crate) struct SessionRemoteArgs {
    /// Which server, and who.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `millrace ticket`.
#[derive(Debug, Args)]
#[command(after_help = "\
A ticket stands in an address in place of a token (`?ticket=…`), works once and not for long, so that no token
gets into a log. For browsers, which cannot send headers with WebSocket and EventSource.

Example:
  millrace ticket -u anna")]
pub(crate) struct TicketArgs {
    /// Which server, and who.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

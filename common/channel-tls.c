// SPDX-License-Identifier: MIT
/*
 * TLS of the channels: who we are (certificate, key, CA), what we insist on (TLS 1.3, a certificate
 * on both sides whose only common name is a site's name), and sentences for what went wrong.
 * Sessions are never resumed: each connection proves its certificates afresh.
 */

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>

#include "common/channel-internal.h"

#define CIPHERSUITES     "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define VERIFY_DEPTH     4
#define READ_AHEAD_BYTES (64 << 10)

struct channel_identity {
	unsigned references;
	SSL_CTX *context;
	char name[NAME_MAX_CHARS + 1];
};

static void ssl_ctx_freep(SSL_CTX **context)
{
	SSL_CTX_free(*context);
}

/* The subject's one common name, when it is a site's name. */
static bool certificate_name(X509 *certificate, char ret_name[static NAME_MAX_CHARS + 1])
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	const ASN1_STRING *value;
	char name[NAME_MAX_CHARS + 1];
	int length;

	if (i < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, i) >= 0)
		return false;
	value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
	length = ASN1_STRING_length(value);
	if (length <= 0 || length > NAME_MAX_CHARS)
		return false;
	memcpy(name, ASN1_STRING_get0_data(value), (size_t)length);
	name[length] = '\0';
	/* A NUL inside shortens it, a wide string type has NULs: neither is a name. */
	if (strlen(name) != (size_t)length || !site_name_is_valid(name))
		return false;
	memcpy(ret_name, name, (size_t)length + 1);
	return true;
}

static int refuse(struct channel_tls *tls, X509_STORE_CTX *store, const char *reason)
{
	snprintf(tls->reason, sizeof(tls->reason), "%s", reason);
	X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
	return 0;
}

/* Called for each certificate of the chain; the peer's own comes last, at depth 0. */
static int verify_certificate(int is_ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct channel_tls *tls = SSL_get_app_data(ssl);
	char what[CHANNEL_REASON_CHARS];

	if (!is_ok) {
		snprintf(tls->reason, sizeof(tls->reason), "the peer's certificate is refused: %s",
			 X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
		return 0;
	}
	if (X509_STORE_CTX_get_error_depth(store) > 0)
		return 1;
	if (!certificate_name(X509_STORE_CTX_get_current_cert(store), tls->peer))
		return refuse(tls, store, "the peer's certificate names no site");
	if (!tls->expected_peer || str_equal(tls->peer, tls->expected_peer))
		return 1;
	snprintf(what, sizeof(what), "the peer's certificate names site %s, not %s", tls->peer,
		 tls->expected_peer);
	return refuse(tls, store, what);
}

/* A key file that wants a passphrase is an error, not a question on some terminal. */
static int no_passphrase(char *buffer, int size, int is_writing, void *userdata)
{
	return -1;
}

static bool context_set_up(SSL_CTX *context)
{
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					     SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(context,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			   verify_certificate);
	SSL_CTX_set_verify_depth(context, VERIFY_DEPTH);
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_BYTES);
	return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) &&
	       SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) &&
	       SSL_CTX_set_ciphersuites(context, CIPHERSUITES) &&
	       SSL_CTX_set_num_tickets(context, 0);
}

/* "FILE: why", from OpenSSL's queue of errors or errno. */
static int file_error(const char *file, const char *fallback, char **ret_what)
{
	unsigned long code = ERR_peek_last_error();
	const char *why = code ? ERR_reason_error_string(code) : NULL;
	int result = -EINVAL;

	if (access(file, R_OK) < 0) {
		result = -errno;
		why = strerror(errno);
	}
	if (asprintf(ret_what, "%s: %s", file, why ?: fallback) < 0)
		*ret_what = NULL;
	ERR_clear_error();
	return result;
}

static int context_load(SSL_CTX *context, const char *ca_file, const char *certificate_file,
			const char *key_file, char **ret_what)
{
	ERR_clear_error();
	if (!SSL_CTX_load_verify_file(context, ca_file))
		return file_error(ca_file, "not a CA certificate in PEM form", ret_what);
	if (SSL_CTX_use_certificate_chain_file(context, certificate_file) != 1)
		return file_error(certificate_file, "not a certificate in PEM form", ret_what);
	if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
		return file_error(key_file, "not a private key in PEM form", ret_what);
	if (SSL_CTX_check_private_key(context) != 1)
		return file_error(key_file, "not the certificate's key", ret_what);
	return 0;
}

int channel_identity_new(const char *ca_file, const char *certificate_file, const char *key_file,
			 char **ret_what, struct channel_identity **ret)
{
	_cleanup_(ssl_ctx_freep) SSL_CTX *context = SSL_CTX_new(TLS_method());
	struct channel_identity *identity;
	char name[NAME_MAX_CHARS + 1];
	int r;

	if (!context || !context_set_up(context))
		return -ENOMEM;
	r = context_load(context, ca_file, certificate_file, key_file, ret_what);
	if (r < 0)
		return r;
	if (!certificate_name(SSL_CTX_get0_certificate(context), name)) {
		if (asprintf(
			    ret_what,
			    "%s: the subject has not exactly one common name that is a site's name",
			    certificate_file) < 0)
			*ret_what = NULL;
		return -EINVAL;
	}
	identity = calloc(1, sizeof(*identity));
	if (!identity)
		return -ENOMEM;
	identity->references = 1;
	identity->context = TAKE_PTR(context);
	memcpy(identity->name, name, sizeof(name));
	*ret = identity;
	return 0;
}

struct channel_identity *channel_identity_ref(struct channel_identity *identity)
{
	identity->references++;
	return identity;
}

struct channel_identity *channel_identity_unref(struct channel_identity *identity)
{
	if (!identity || --identity->references > 0)
		return NULL;
	SSL_CTX_free(identity->context);
	free(identity);
	return NULL;
}

const char *channel_identity_name(const struct channel_identity *identity)
{
	return identity->name;
}

int channel_tls_init(struct channel_tls *tls, struct channel_identity *identity,
		     enum channel_role role, int fd, const char *expected_peer)
{
	SSL *ssl = SSL_new(identity->context);
	BIO *bio = ssl ? channel_bio_new(fd) : NULL;

	if (!bio) {
		SSL_free(ssl);
		return -ENOMEM;
	}
	SSL_set_bio(ssl, bio, bio);
	if (role == CHANNEL_CONNECTS)
		SSL_set_connect_state(ssl);
	else
		SSL_set_accept_state(ssl);
	*tls = (struct channel_tls){.ssl = ssl, .expected_peer = expected_peer};
	return 0;
}

void channel_tls_done(struct channel_tls *tls)
{
	SSL_free(tls->ssl);
	tls->ssl = NULL;
}

static bool is_unexpected_end(const struct channel_tls *tls, unsigned long code)
{
	return code ? ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING
		    : BIO_eof(SSL_get_rbio(tls->ssl));
}

/* A reason that stands for what the peer said, RFC 8446 section 6; a number of one byte. */
static bool is_alert(unsigned long code)
{
	int reason = ERR_GET_REASON(code);

	return reason >= SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + UINT8_MAX;
}

/* What a peer says that does not take our certificate, whatever it finds wrong with it. */
static bool is_about_certificate(unsigned long code)
{
	static const int alerts[] = {
		SSL_AD_BAD_CERTIFICATE,     SSL_AD_UNSUPPORTED_CERTIFICATE,
		SSL_AD_CERTIFICATE_REVOKED, SSL_AD_CERTIFICATE_EXPIRED,
		SSL_AD_CERTIFICATE_UNKNOWN, SSL_AD_UNKNOWN_CA,
		SSL_AD_ACCESS_DENIED,       SSL_AD_CERTIFICATE_REQUIRED,
	};

	for (size_t i = 0; i < ELEMENTSOF(alerts); i++)
		if (ERR_GET_REASON(code) == SSL_AD_REASON_OFFSET + alerts[i])
			return true;
	return false;
}

/* OpenSSL's first error tells most: the others are what followed from it. */
static int name_failure(const struct channel_tls *tls, int saved_errno,
			char ret_reason[static CHANNEL_REASON_CHARS])
{
	unsigned long code = ERR_peek_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	if (*tls->reason) {
		snprintf(ret_reason, CHANNEL_REASON_CHARS, "%s", tls->reason);
		return -EACCES;
	}
	if (is_unexpected_end(tls, code)) {
		snprintf(ret_reason, CHANNEL_REASON_CHARS, "the connection ended without notice");
		return -ECONNRESET;
	}
	if (!text || ERR_GET_LIB(code) != ERR_LIB_SSL) {
		snprintf(ret_reason, CHANNEL_REASON_CHARS, "the connection broke: %s",
			 saved_errno ? strerror(saved_errno) : "TLS failed");
		return saved_errno ? -saved_errno : -EPROTO;
	}
	if (is_about_certificate(code))
		snprintf(ret_reason, CHANNEL_REASON_CHARS,
			 "the peer does not accept our certificate: %s", text);
	else if (is_alert(code))
		snprintf(ret_reason, CHANNEL_REASON_CHARS, "the peer ended TLS: %s", text);
	else
		snprintf(ret_reason, CHANNEL_REASON_CHARS, "TLS failed: %s", text);
	return -EPROTO;
}

void channel_tls_prepare(const struct channel_tls *tls)
{
	ERR_clear_error();
	errno = 0;
	/* Left from before, it would make a lack of memory look like a wait for the socket. */
	BIO_clear_retry_flags(SSL_get_rbio(tls->ssl));
}

int channel_tls_result(const struct channel_tls *tls, int answer, int saved_errno,
		       uint32_t *ret_events, char ret_reason[static CHANNEL_REASON_CHARS])
{
	int r;

	switch (SSL_get_error(tls->ssl, answer)) {
	case SSL_ERROR_WANT_READ:
		*ret_events = EPOLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*ret_events = EPOLLOUT;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		snprintf(ret_reason, CHANNEL_REASON_CHARS, "the peer ended the connection");
		return 0;
	default: /* OpenSSL's constants, not an enum of ours */
		/* A failure that is not the socket's may find EAGAIN there from the last read. */
		r = name_failure(tls, saved_errno == EAGAIN ? 0 : saved_errno, ret_reason);
		ERR_clear_error();
		return r;
	}
}

int channel_tls_handshake(struct channel_tls *tls, uint32_t *ret_events,
			  char ret_reason[static CHANNEL_REASON_CHARS])
{
	int answer, r;

	channel_tls_prepare(tls);
	SSL_set_app_data(tls->ssl, tls);
	answer = SSL_do_handshake(tls->ssl);
	if (answer == 1)
		return 0;
	r = channel_tls_result(tls, answer, errno, ret_events, ret_reason);
	return r ?: -ECONNRESET;
}

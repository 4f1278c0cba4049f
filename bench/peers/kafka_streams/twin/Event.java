package twin;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;

/** One input record, read with Jackson's streaming parser into an object that is used again. */
final class Event {
    private static final JsonFactory JSON = new JsonFactory();

    String id, name, category, channel;
    long time;
    double price;
    boolean hasPrice, hasTime;
    /** Where the properties lie in the record's value. */
    int propertiesFrom, propertiesTo;

    /** Throws IOException for what is no event. */
    void read(byte[] value) throws IOException {
        String type = null, user = null;
        id = name = category = channel = null;
        hasPrice = hasTime = false;
        propertiesFrom = propertiesTo = 0;
        try (JsonParser json = JSON.createParser(value)) {
            if (json.nextToken() != JsonToken.START_OBJECT) throw new IOException("no object");
            String field;
            while ((field = json.nextFieldName()) != null) {
                JsonToken token = json.nextToken();
                switch (field) {
                    case "type" -> type = json.getValueAsString();
                    case "id" -> id = json.getValueAsString();
                    case "user_id" -> user = json.getValueAsString();
                    case "event" -> name = json.getValueAsString();
                    case "time" -> readTime(json);
                    case "properties" -> readProperties(json, token);
                    default -> json.skipChildren();
                }
            }
        }
        if (!"track".equals(type) || user == null || name == null) throw new IOException("no event of a user");
    }

    private void readTime(JsonParser json) throws IOException {
        time = Instants.parse(json.getTextCharacters(), json.getTextOffset(), json.getTextLength());
        hasTime = true;
    }

    private void readProperties(JsonParser json, JsonToken first) throws IOException {
        if (first != JsonToken.START_OBJECT) throw new IOException("properties are no object");
        propertiesFrom = (int) json.currentTokenLocation().getByteOffset();
        String field;
        while ((field = json.nextFieldName()) != null) {
            JsonToken token = json.nextToken();
            switch (field) {
                case "category" -> category = token == JsonToken.VALUE_STRING ? json.getText() : null;
                case "channel" -> channel = token == JsonToken.VALUE_STRING ? json.getText() : null;
                case "price" -> {
                    hasPrice = token.isNumeric();
                    if (hasPrice) price = json.getDoubleValue();
                }
                default -> json.skipChildren();
            }
        }
        propertiesTo = (int) json.currentLocation().getByteOffset();
    }
}
